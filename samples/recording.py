"""How it sounds when it was caught by a microphone: margins, background, level, and the mp3 made of it."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

RATE = 16_000  # hertz
BITRATE = 48_000  # bits a second; at 32_000 Whisper base loses every fifth word more
_MPEG2_BITRATES = (160_000, 8_000)  # of MPEG-2 layer III (16 kHz); libsndfile's compression level runs linearly between
SNR_DB = (20.0, 40.0)
PEAK_DB = (-18.0, -2.0)
EDGE = 0.003  # share of the peak under which espeak-ng's own silence before and after the speech is cut off
MARGIN_SECONDS = (0.1, 0.35)  # before and after the speech


def noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Background (length,) of power 1: white or pink noise, or pink noise with the hum of the mains."""
    kind = rng.choice(("white", "pink", "hum"))
    white = rng.standard_normal(length)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    frequencies = np.fft.rfftfreq(length, 1 / RATE)
    spectrum[1:] /= np.sqrt(frequencies[1:])
    spectrum[0] = 0
    sound = np.fft.irfft(spectrum, n=length)
    sound /= np.std(sound)
    if kind == "hum":
        seconds = np.arange(length) / RATE
        for harmonic, level in ((50, 0.8), (100, 0.5), (150, 0.3)):
            sound = sound + level * np.sin(2 * np.pi * (harmonic * seconds + rng.random()))
    return sound / np.std(sound)


def recorded(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Speech as a microphone might catch it: margins, background and level, drawn alike for every class."""
    before, after = (int(rng.uniform(*MARGIN_SECONDS) * RATE) for _ in range(2))
    return with_background(np.concatenate([np.zeros(before), speech, np.zeros(after)]), np.std(speech), rng)


def with_background(sound: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Sound (n,) of speech of this standard deviation, with background and at another level."""
    background = level * 10 ** (-rng.uniform(*SNR_DB) / 20)
    sound = sound + background * noise(len(sound), rng)
    return sound / np.max(np.abs(sound)) * 10 ** (rng.uniform(*PEAK_DB) / 20)


def mp3(samples: np.ndarray, bit_rate: int = BITRATE) -> bytes:
    """Samples (n,) at 16 kHz as an mp3 of constant bit rate, in bits a second."""
    high, low = _MPEG2_BITRATES
    target = io.BytesIO()
    soundfile.write(
        target, samples, RATE, format="MP3", subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT", compression_level=(high - bit_rate) / (high - low),
    )  # fmt: skip
    return target.getvalue()


def trimmed(wav: bytes) -> np.ndarray:
    """The speech (n,) at 16 kHz in what espeak-ng returned, without the silence it puts before and after."""
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float64")
    loud = np.flatnonzero(np.abs(samples) > EDGE * np.max(np.abs(samples)))
    return soxr.resample(samples[loud[0] : loud[-1] + 1], rate, RATE)
