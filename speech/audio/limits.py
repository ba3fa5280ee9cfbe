"""What a recording may be, and how one that cannot be used is refused."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_RATE = 16_000  # hertz; what wav2vec 2.0, HuBERT, WavLM and Whisper were all trained on
MIN_SPEECH_SECONDS = 0.25  # what entrances ask for: less is a click (Silero's own bound)
SILENCE_DBFS = -55.0  # below this a frame holds no speech even on a quiet telephone line


class AudioError(ValueError):
    """A recording that cannot be used; `code` is stable and for machines, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class AudioLimits:
    """What a recording may be. Seconds are of decoded sound, bytes of the encoded file, rates in hertz.

    `min_speech_seconds`: how long somebody must speak, by `speech.audio.speech_guard`; 0: nobody need speak.
    `max_decoded_bytes`: of sound at the file's own rate and channels, 4 a sample and channel; None: any, as for rates
    and channels.
    """

    max_bytes: int = 64 << 20
    min_seconds: float = 0.2
    max_seconds: float = 60.0
    silence_dbfs: float = SILENCE_DBFS
    min_rate: int | None = None
    max_rate: int | None = None
    max_channels: int | None = None
    max_decoded_bytes: int | None = None
    min_speech_seconds: float = 0.0


def require_shape(rate: int, channels: int, limits: AudioLimits) -> None:
    """Raises `AudioError` `bad_sample_rate` or `too_many_channels`."""
    if (limits.min_rate and rate < limits.min_rate) or (limits.max_rate and rate > limits.max_rate):
        taken = f"{limits.min_rate or 1} to {limits.max_rate or 'any'} Hz"
        raise AudioError("bad_sample_rate", f"the sample rate is {rate} Hz; {taken} are taken, 16000 is best")
    if limits.max_channels and channels > limits.max_channels:
        raise AudioError(
            "too_many_channels", f"{channels} channels; at most {limits.max_channels} are taken, 1 is best"
        )


def too_long(limits_seconds: float) -> AudioError:
    """The refusal of a recording of more than so many seconds."""
    return AudioError("too_long", f"longer than {limits_seconds:g} s; cut it into shorter recordings")
