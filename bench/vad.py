"""How much of speech is found, and how much of pauses is taken for speech, by what cuts long recordings.

    python -m bench.vad --archive samples/mini.zip

Clips are joined with pauses of 0.3 to 5 s, and noise is added. What is speech is known by the level of the clean clips:
within 30 dB of a clip's loudest, and 6 dB above its faintest frames, gaps of plosives included. Pauses count as taken
for speech from 0.15 s after a clip's speech on: what is kept around speech is meant to be.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.serving import ROOT
from speech.audio.decode import SAMPLE_RATE, SILENCE_DBFS, AudioError, decode
from speech.longform.speech_windows import SideCutter

HOP = 160  # samples: 10 ms
SNRS = (60.0, 15.0, 5.0, 0.0)  # dB, white noise
LEVELS = (1.0, 0.1, 0.03)  # of recordings whose peaks are at `PEAK`
PEAK = 0.3
_PAUSES = (0.3, 5.0)  # seconds
_BELOW_TOP_DB, _ABOVE_FLOOR_DB = 30.0, 6.0
_GAP, _NEAR = 20, 15  # hops


def spoken(samples: np.ndarray) -> np.ndarray:
    """Whether there is speech in each 10 ms of a clean clip (n,)."""
    power = np.mean(np.square(samples[: len(samples) // HOP * HOP].reshape(-1, HOP)), axis=1)
    level = 10 * np.log10(power + 1e-12)
    loud = level > max(np.percentile(level, 95) - _BELOW_TOP_DB, np.percentile(level, 5) + _ABOVE_FLOOR_DB)
    at = np.flatnonzero(loud)
    for first, last in pairwise(at):
        if last - first <= _GAP:
            loud[first:last] = True
    return loud


def recording(archive: Path, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many clips with pauses between, (n,), and where there is speech, (n / `HOP`,)."""
    rng = np.random.default_rng(seed)
    sounds, truths = [], []
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if "/train/" in name and not name.endswith("/")]
        for name in rng.choice(names, min(count, len(names)), replace=False):
            samples = decode(file.read(str(name))).samples
            truth = spoken(samples)
            pause = int(rng.uniform(*_PAUSES) * SAMPLE_RATE) // HOP
            sounds += [PEAK * samples[: len(truth) * HOP] / np.abs(samples).max(), np.zeros(pause * HOP, np.float32)]
            truths += [truth, np.zeros(pause, bool)]
    return np.concatenate(sounds), np.concatenate(truths)


def found(samples: np.ndarray) -> np.ndarray:
    """Whether each 10 ms of (n,) is in a window."""
    cutter = SideCutter(None, 0.2, 10.0, SILENCE_DBFS)
    inside = np.zeros(len(samples) // HOP, bool)
    for windows in (cutter.add(samples), cutter.finish()):
        for window in windows:
            inside[round(window.start * SAMPLE_RATE / HOP) : round(window.end * SAMPLE_RATE / HOP)] = True
    return inside


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure how well speech is found in long recordings.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--clips", type=int, default=60)
    options = parser.parse_args()
    clean, truth = recording(options.archive, options.clips)
    near = np.convolve(truth, np.ones(2 * _NEAR + 1), "same") > 0
    far = _runs_of_a_second(~near)
    power = float(np.mean(np.square(clean.reshape(-1, HOP)[truth])))
    noise = np.random.default_rng(1).standard_normal(len(clean))
    print(f"{options.archive.name}: {len(clean) / SAMPLE_RATE:.0f} s, {truth.mean():.0%} speech")
    for level in LEVELS:
        for snr in SNRS:
            noisy = level * (clean + noise * np.sqrt(power / 10 ** (snr / 10)))
            began = time.perf_counter()
            inside = found(noisy.astype(np.float32))
            speed = len(clean) / SAMPLE_RATE / (time.perf_counter() - began)
            print(
                f"level {20 * np.log10(level):4.0f} dB, noise {snr:3.0f} dB below: found {inside[truth].mean():.3f}"
                f", false {inside[far].mean():.3f} of pauses of a second and more; {speed:.0f} times real time"
            )


def _runs_of_a_second(quiet: np.ndarray) -> np.ndarray:
    """Of (n,), only what lasts a second or longer: shorter pauses stay inside windows on purpose."""
    kept = np.zeros_like(quiet)
    at = np.flatnonzero(quiet)
    for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        if len(run) * HOP >= SAMPLE_RATE:
            kept[run] = True
    return kept


if __name__ == "__main__":
    try:
        main()
    except AudioError as error:
        raise SystemExit(str(error)) from error
