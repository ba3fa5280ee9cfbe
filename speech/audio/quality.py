"""The quality of a recording as far as its sound tells: noise, bandwidth and spectrum, and cautions about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from speech.audio.levels import Quality, audible
from speech.audio.limits import SAMPLE_RATE
from speech.audio.tempo import Tempo

FRAME, HOP, FFT = 320, 160, 512  # samples: 20 ms every 10 ms
BANDS = 24
LOWEST_HERTZ, HIGHEST_HERTZ = 80.0, 7600.0
# Noise is what is left in a frequency at the quietest tenth of the time: speech leaves every frequency now and then,
# even where it never pauses.
NOISE_SHARE = 0.1
_NOISE_BIAS = -np.log(1 - NOISE_SHARE)  # that quantile of noise whose mean power is 1: it is exponentially distributed
# Beyond these nothing can be told: digital silence has no noise at all, and what never changes is all noise.
LEAST_SNR_DB, MOST_SNR_DB = -10.0, 60.0
SPEECH_HERTZ, HIGH_HERTZ = (300.0, 3400.0), (4200.0, 7600.0)
ACTIVE_DB = 30.0  # frames fainter than this below the loudest are no speech
_QUIETEST = 1e-12

QUIET_DBFS = -40.0  # generated clips at the levels of an archive (peaks from -18 to -2 dB) lie between -37 and -20 dBFS
CLIPPED_SHARE = (
    0.001  # 16 samples a second; a recording that was made as loud as it can be touches full scale less often
)
NOISY_DB = 10.0  # training imitates noise down to 5 dB, so that below this little was learned
# Wide-band voices lie between -30 and -8 dB, mp3 at 16 kbit/s included, a file of 8 kHz below -80 dB; soft filters lie
# between.
NARROW_DB = -35.0
TELEPHONE_RATE = 11_025  # hertz; a file of this rate or less holds no more than a telephone lets through
SHORT_SECONDS = 1.5  # of speech: a handful of syllables, of which few hold a marker letter

Code = Literal["too_quiet", "clipped", "noisy", "telephone_band", "short", "cut_short", "damaged", "unlike_training"]


@dataclass(frozen=True)
class Signal:
    """Noise, bandwidth and spectrum of a recording.

    `snr_db` is an estimate of the signal-to-noise ratio; it is too low where clean speech never pauses. `high_band_db`
    is the level from 4.2 kHz up relative to that from 0.3 to 3.4 kHz. `colour_db` (`BANDS`,) is the mean level of each
    mel band where there is speech, relative to that of all bands.
    """

    snr_db: float
    high_band_db: float
    colour_db: tuple[float, ...]


@dataclass(frozen=True)
class Caution:
    """Why the answer may be worth less; `code` is stable and for machines, the message is for people."""

    code: Code
    message: str


UNLIKE_TRAINING = Caution(
    "unlike_training", "the recording is unlike those that the model learned from, so it is sure of nothing here"
)


def examine(samples: np.ndarray) -> Signal:
    """Noise, bandwidth and spectrum of mono samples (n,) at 16 kHz, n > 0, without what nobody hears."""
    power = _spectra(audible(samples))
    total = power.sum(1)
    active = power[total >= np.percentile(total, 95) / 10 ** (ACTIVE_DB / 10)]
    noise = float(np.quantile(power, NOISE_SHARE, axis=0).sum() / _NOISE_BIAS)
    speech = max(float(active.mean(0).sum()) - noise, _QUIETEST)
    bands = _decibels(active @ _mel_filters()[0]).mean(0)
    return Signal(
        snr_db=round(float(np.clip(_decibels(speech) - _decibels(noise), LEAST_SNR_DB, MOST_SNR_DB)), 1),
        high_band_db=round(float(_decibels(_within(active, HIGH_HERTZ)) - _decibels(_within(active, SPEECH_HERTZ))), 1),
        colour_db=tuple(np.round(bands - bands.mean(), 2).tolist()),
    )


def band_centres() -> list[int]:
    """The middle of each band of `Signal.colour_db`, in whole hertz."""
    return [round(hertz) for hertz in _mel_filters()[1]]


def cautions(quality: Quality, signal: Signal, tempo: Tempo, source_rate: int) -> list[Caution]:
    """Reasons why the answer to a recording may be worth less; `source_rate` is the file's, in hertz."""
    found = []
    if quality.active_dbfs < QUIET_DBFS:
        found.append(
            Caution(
                "too_quiet",
                f"the recording is faint ({quality.active_dbfs:.0f} dBFS); come closer to the microphone or turn it up",
            )
        )
    if quality.clipped_share > CLIPPED_SHARE:
        found.append(
            Caution("clipped", f"{quality.clipped_share:.1%} of the sound is clipped; turn the microphone down")
        )
    if signal.snr_db < NOISY_DB:
        found.append(
            Caution("noisy", f"speech is only {signal.snr_db:.0f} dB above the noise; record in a quieter place")
        )
    if source_rate <= TELEPHONE_RATE or signal.high_band_db < NARROW_DB:
        found.append(
            Caution(
                "telephone_band",
                "the recording holds no high frequencies, as over a telephone; sounds like s and f are told less well",
            )
        )
    if tempo.speech_seconds < SHORT_SECONDS:
        found.append(
            Caution("short", f"only {tempo.speech_seconds:.1f} s of speech are heard; record a whole sentence")
        )
    return found


def loss_cautions(cut_short: bool, damaged: bool) -> list[Caution]:
    """What is to be said of a recording of which something is missing, as `speech.audio.decode.Sound` has it."""
    found = []
    if cut_short:
        found.append(
            Caution(
                "cut_short", "the file breaks off, so the end of the recording is missing; send it whole if you can"
            )
        )
    if damaged:
        found.append(
            Caution("damaged", "a part of the file is damaged and was left out; send it again or export it anew")
        )
    return found


def _spectra(samples: np.ndarray) -> np.ndarray:
    """Power by frame and frequency, (frames, 1 + FFT / 2)."""
    padded = np.pad(samples, (0, max(0, FRAME - len(samples)))).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return np.square(np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), n=FFT))) / FRAME


def _within(power: np.ndarray, hertz: tuple[float, float]) -> float:
    frequencies = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
    return float(power[:, (frequencies >= hertz[0]) & (frequencies <= hertz[1])].mean(0).sum())


def _decibels(power: float | np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, _QUIETEST))


@cache
def _mel_filters() -> tuple[np.ndarray, list[float]]:
    """Triangles (1 + FFT / 2, `BANDS`), each of sum 1, and their middles in hertz."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST_HERTZ, HIGHEST_HERTZ))
    mel = np.linspace(lowest, highest, BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    weights = np.clip(np.minimum(rising, falling), 0.0, None)
    return weights / np.maximum(weights.sum(0), 1e-9), middle.tolist()
