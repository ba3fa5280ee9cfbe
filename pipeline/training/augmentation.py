"""Sound as the world passes it on: noise, rooms, telephone lines, lossy compression, lost moments; and other voices."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import butter, fftconvolve, sosfilt

from speech.audio.decode import SAMPLE_RATE

_TELEPHONE_HERTZ = (300.0, 3400.0)
_LOW_HERTZ = (2800.0, 7000.0)
_ROOM_SECONDS = (0.1, 0.5)  # until an echo has faded by 60 dB
_MASK_SECONDS = 0.06
_EQUALISER_DB, _EQUALISER_POINTS = 5.0, 8  # standard deviation at so many points from 0 to 8 kHz
SPEEDS = (0.87, 1.15)  # about what lies between the vocal tracts of a large man and a child of ten
MP3_DELAY = 1105  # samples of silence that encoder and decoder put before the sound
_MPEG2_BITRATES = (160_000, 8_000)  # libsndfile's compression level runs linearly between them


@dataclass(frozen=True)
class Augmentation:
    """How often, as a probability from 0 to 1, each thing happens to a clip; `snr_db` bounds the noise, `speeds` the
    factor of speed."""

    noise: float = 0.6
    room: float = 0.25
    telephone: float = 0.15
    low_pass: float = 0.15
    codec: float = 0.3
    masks: float = 0.3
    speed: float = 0.5
    equaliser: float = 0.0
    snr_db: tuple[float, float] = (5.0, 35.0)
    speeds: tuple[float, float] = SPEEDS

    def __call__(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of mono float32 samples (n,) at 16 kHz, of the same length and timing."""
        sound = np.asarray(samples, dtype=np.float32)
        if not len(sound) or not np.any(sound):
            return sound.copy()
        if self.equaliser and rng.random() < self.equaliser:
            sound = equalised(sound, rng)
        if rng.random() < self.room:
            sound = reverberated(sound, rng)
        if rng.random() < self.noise:
            sound = noisy(sound, rng.uniform(*self.snr_db), rng)
        if rng.random() < self.telephone:
            sound = band_limited(sound, *_TELEPHONE_HERTZ)
        elif rng.random() < self.low_pass:
            sound = band_limited(sound, None, rng.uniform(*_LOW_HERTZ))
        if rng.random() < self.codec:
            sound = compressed(sound, int(rng.choice((16_000, 24_000, 32_000, 48_000))))
        if rng.random() < self.masks:
            sound = masked(sound, rng)
        return sound.astype(np.float32)

    def at_speed(self, samples: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Mono float32 samples (n,) played faster or slower, and by which factor: times are to be divided by it.

        Pitch and formants move along: to a model it is another voice, and voices are what archives have few of.
        """
        if rng.random() >= self.speed or not len(samples):
            return samples, 1.0
        factor = float(rng.uniform(*self.speeds))
        return soxr.resample(samples, SAMPLE_RATE * factor, SAMPLE_RATE, quality="LQ").astype(np.float32), factor


# Recordings of few speakers must sound like those of many: pace, pitch and vocal tract move with the speed, and the
# equaliser takes away what tells one microphone and one voice from another.
VARIED = Augmentation(speed=0.8, speeds=(0.8, 1.25), equaliser=0.7)


def equalised(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound whose spectrum is raised and lowered by some decibels along a random line, as between microphones and
    between voices."""
    length = next_fast_len(len(sound), real=True)
    spectrum = rfft(sound, length)
    points = rng.normal(0.0, _EQUALISER_DB, _EQUALISER_POINTS)
    line = np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(points)), points)
    return irfft(spectrum * 10 ** (line / 20), length)[: len(sound)].astype(np.float32)


def coloured_noise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (length,) of power 1 whose spectrum falls by 0 (white) to 2 (brown) powers of the frequency, perhaps with
    the hum of the mains."""
    quick = next_fast_len(length, real=True)
    spectrum = rfft(rng.standard_normal(quick, dtype=np.float32))
    frequencies = rfftfreq(quick, 1 / SAMPLE_RATE).astype(np.float32)
    spectrum[1:] /= frequencies[1:] ** (rng.uniform(0.0, 2.0) / 2)
    spectrum[0] = 0
    noise = irfft(spectrum, n=quick)[:length]
    noise /= np.std(noise) + 1e-12
    if rng.random() < 0.2:
        noise = noise + np.sin(2 * np.pi * 50 * np.arange(length) / SAMPLE_RATE + rng.uniform(0, 2 * np.pi))
        noise /= np.std(noise) + 1e-12
    return noise.astype(np.float32)


def noisy(sound: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Sound with coloured noise `snr_db` decibels below it."""
    return sound + np.std(sound) * 10 ** (-snr_db / 20) * coloured_noise(len(sound), rng)


def reverberated(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound in a room: the direct sound and an exponentially fading tail of noise after it (no delay is added)."""
    fade = rng.uniform(*_ROOM_SECONDS)
    time = np.arange(int(fade * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / fade)
    tail *= rng.uniform(0.2, 0.9) / np.linalg.norm(tail)
    tail[0] += 1.0
    return fftconvolve(sound, tail.astype(np.float32))[: len(sound)]


def band_limited(sound: np.ndarray, low: float | None, high: float) -> np.ndarray:
    """Sound between two frequencies in hertz, as a line or a cheap microphone lets it through."""
    limits, kind = (high, "lowpass") if low is None else ((low, high), "bandpass")
    return sosfilt(butter(4, limits, btype=kind, fs=SAMPLE_RATE, output="sos"), sound)


def compressed(sound: np.ndarray, bit_rate: int) -> np.ndarray:
    """Sound after mp3 at `bit_rate` bits a second (8,000 to 160,000), of the same length."""
    high, low = _MPEG2_BITRATES
    peak = float(np.max(np.abs(sound)))
    if peak == 0:
        return sound
    file = io.BytesIO()
    soundfile.write(
        file, 0.7 * sound / peak, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT",
        compression_level=(high - bit_rate) / (high - low),
    )  # fmt: skip
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    decoded = decoded[MP3_DELAY:]
    return np.pad(decoded, (0, max(0, len(sound) - len(decoded))))[: len(sound)] * (peak / 0.7)


def masked(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sound with one to three moments of up to 60 ms lost."""
    sound = sound.copy()
    for _ in range(rng.integers(1, 4)):
        length = int(rng.uniform(0.01, _MASK_SECONDS) * SAMPLE_RATE)
        first = int(rng.integers(0, max(1, len(sound) - length)))
        sound[first : first + length] = 0
    return sound
