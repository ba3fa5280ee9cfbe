"""The one audio decoder, for training and serving: one sample rate, measured quality, a clear refusal of what is no
sound.

`decode` runs in the calling process. Files of strangers go through `speech.audio.isolated`, which calls it in a child
process, so that a crash costs one clip.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000  # hertz; what wav2vec 2.0, HuBERT, WavLM and Whisper were all trained on
FULL_SCALE = 0.999  # samples at or above this share of full scale count as clipped
QUIET_FRAME_SECONDS = 0.02  # one analysis frame of the silence measure
SILENCE_DBFS = -55.0  # below this a frame holds no speech even on a quiet telephone line
_QUIET_POWER = 10 ** (SILENCE_DBFS / 10)
_FLOOR_DBFS = -120.0  # stands for minus infinity, which JSON cannot hold
# Without the list FFmpeg also takes play lists and session descriptions, which name files to read and ports to open.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,amr,asf,avi,caf,flac,flv,mp3,mpeg,wav,aiff,wv"


class AudioError(ValueError):
    """A recording that cannot be used; `code` is stable and for machines, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class AudioLimits:
    """What a recording may be. Seconds are of decoded sound, bytes of the encoded file, rates in hertz.

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


@dataclass(frozen=True)
class Quality:
    """How a recording sounds as a signal. Levels are in dBFS (0 is full scale), shares are 0 to 1."""

    level_dbfs: float
    peak_dbfs: float
    clipped_share: float
    silent_share: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Sound:
    """Decoded sound: `samples` float32 of shape (n,), mono, 16 kHz; what the file was before; its quality."""

    samples: np.ndarray
    source_rate: int
    source_channels: int
    quality: Quality

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def decode(source: bytes | Path, limits: AudioLimits | None = None) -> Sound:
    """Decode a recording to mono float32 at 16 kHz and check it against `limits`.

    Raises `AudioError` with code `empty`, `too_large`, `not_audio`, `too_short`, `too_long` or `silent`, and where
    there are limits for them `bad_sample_rate`, `too_many_channels` or `decodes_too_large`.
    """
    limits = limits or AudioLimits()
    data = _read(source, limits)
    mixed, rate, channels = _decode_bytes(data, limits)
    samples = mixed if rate == SAMPLE_RATE else soxr.resample(mixed, rate, SAMPLE_RATE)
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    seconds = len(samples) / SAMPLE_RATE
    if seconds < limits.min_seconds:
        raise AudioError("too_short", f"{seconds:.2f} s of sound; at least {limits.min_seconds:g} s are needed")
    if not np.isfinite(samples).all():
        raise AudioError("not_audio", "the file decodes to values that are not finite numbers; export it again")
    quality = measure(samples)
    if quality.silent_share >= 1.0 or quality.level_dbfs < limits.silence_dbfs:
        raise AudioError("silent", "nothing is heard in the recording; check the microphone and record again")
    return Sound(samples, rate, channels, quality)


def measure(samples: np.ndarray) -> Quality:
    """Level, peak, clipping and silence of mono samples (n,), n > 0, full scale 1.0."""
    levels = Levels()
    levels.add(samples)
    return levels.quality()


class Levels:
    """The quality of sound that comes in pieces, measured as `measure` does that of a whole."""

    def __init__(self) -> None:
        self._samples = self._clipped = self._frames = self._quiet = 0
        self._power = self._peak = 0.0
        self._rest = np.empty(0, np.float32)  # of a frame that is not whole

    def add(self, samples: np.ndarray) -> None:
        """The next mono samples (n,), full scale 1.0."""
        if not len(samples):
            return
        self._samples += len(samples)
        self._power += float(np.sum(np.square(samples, dtype=np.float64)))
        self._peak = max(self._peak, float(np.max(np.abs(samples))))
        self._clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        frame = int(QUIET_FRAME_SECONDS * SAMPLE_RATE)
        whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
        self._frames += len(whole)
        self._quiet += int(np.count_nonzero(np.mean(np.square(whole, dtype=np.float64), axis=1) < _QUIET_POWER))
        self._rest = samples[whole.size :].copy()

    def quality(self) -> Quality:
        """The quality of all that was added; raises ZeroDivisionError where that is nothing."""
        power = self._power / self._samples
        quiet = self._quiet / self._frames if self._frames else float(power < _QUIET_POWER)
        return Quality(_dbfs(power, 10), _dbfs(self._peak, 20), self._clipped / self._samples, quiet)


def _dbfs(value: float, factor: int) -> float:
    return max(_FLOOR_DBFS, factor * float(np.log10(value))) if value > 0 else _FLOOR_DBFS


def _read(source: bytes | Path, limits: AudioLimits) -> bytes:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size == 0:
        raise AudioError("empty", "the file is empty")
    if size > limits.max_bytes:
        raise AudioError("too_large", f"{size / 1e6:.1f} MB; at most {limits.max_bytes / 1e6:.0f} MB are taken")
    return source if isinstance(source, bytes) else source.read_bytes()


def _decode_bytes(data: bytes, limits: AudioLimits) -> tuple[np.ndarray, int, int]:
    """Mono float32 samples at the file's own rate, that rate, and the number of channels mixed."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format == "MP3" and (whole := _whole_mp3(data, limits)):
                return whole
            rate, channels = file.samplerate, file.channels
            # Headers lie (a cut mp3 claims hours), so it is what was decoded that is measured.
            wanted = int(limits.max_seconds * rate) + rate
            require_shape(rate, channels, limits)
            _require_memory(min(wanted, file.frames), channels, limits)
            frames = file.read(wanted, dtype="float32", always_2d=True)
    except AudioError:
        raise
    except (soundfile.LibsndfileError, ValueError, RuntimeError):
        frames, rate, channels = _decode_container(data, limits)
    return _mixed(frames, rate, limits), rate, channels


def _whole_mp3(data: bytes, limits: AudioLimits) -> tuple[np.ndarray, int, int] | None:
    """An mp3 decoded by FFmpeg; None where FFmpeg gives up on a damaged file, of which libsndfile still hears some.

    libsndfile ends an mp3 where its tag says or, without one, where the first frame's bit rate says. It would hear half
    of a file of varying bit rate.
    """
    try:
        frames, rate, channels = _decode_container(data, limits)
    except AudioError as error:
        if error.code in ("not_audio", "empty"):
            return None
        raise
    return _mixed(frames, rate, limits), rate, channels


def _mixed(frames: np.ndarray, rate: int, limits: AudioLimits) -> np.ndarray:
    """Frames (n, channels) as (n,). Raises `AudioError` `too_long`."""
    if len(frames) > limits.max_seconds * rate:
        raise AudioError("too_long", f"longer than {limits.max_seconds:g} s; cut it into shorter recordings")
    return frames.mean(axis=1, dtype=np.float32)


def require_shape(rate: int, channels: int, limits: AudioLimits) -> None:
    if (limits.min_rate and rate < limits.min_rate) or (limits.max_rate and rate > limits.max_rate):
        taken = f"{limits.min_rate or 1} to {limits.max_rate or 'any'} Hz"
        raise AudioError("bad_sample_rate", f"the sample rate is {rate} Hz; {taken} are taken, 16000 is best")
    if limits.max_channels and channels > limits.max_channels:
        raise AudioError(
            "too_many_channels", f"{channels} channels; at most {limits.max_channels} are taken, 1 is best"
        )


def _require_memory(frames: int, channels: int, limits: AudioLimits) -> None:
    size = frames * channels * 4
    if limits.max_decoded_bytes and size > limits.max_decoded_bytes:
        most = limits.max_decoded_bytes / 1e6
        raise AudioError(
            "decodes_too_large",
            f"the sound decodes to more than {most:.0f} MB; export it shorter, mono, or with a lower sample rate",
        )


def _decode_container(data: bytes, limits: AudioLimits) -> tuple[np.ndarray, int, int]:
    """Sound that libsndfile does not read (m4a, webm, opus in Matroska), through FFmpeg's libraries."""
    import av

    try:
        with av.open(io.BytesIO(data), mode="r", options={"format_whitelist": CONTAINERS}) as container:
            if not container.streams.audio:
                raise AudioError("not_audio", "the file holds no sound track")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError("not_audio", "the sound track is in a format that cannot be decoded")
            rate, channels = stream.rate, stream.channels
            require_shape(rate, channels, limits)
            resampler = av.AudioResampler(format="fltp", rate=rate)
            parts, total = [], 0
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    parts.append(piece.to_ndarray().T)
                    total += len(parts[-1])
                    _require_memory(total, parts[-1].shape[1], limits)
                if total > limits.max_seconds * rate:
                    break
            joined = np.concatenate(parts) if parts else None  # fails where the number of channels changes midway
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError("not_audio", "the file is no sound recording that can be decoded") from error
    if joined is None:
        raise AudioError("empty", "the file holds no sound")
    return joined, rate, channels
