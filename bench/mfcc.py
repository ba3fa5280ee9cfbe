"""The named peer: statistics of mel-frequency cepstral coefficients (MFCC) and a support vector machine.

    python -m bench.mfcc --corpus var/bench/corpus.zip

Trained on the training split, with C and gamma chosen by speaker-disjoint cross-validation, judged on the test split by
macro-F1 with a 95% interval from drawing whole speakers again.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.fft import dct
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from pipeline.evaluation.bootstrap import interval, resamples
from speech.audio.decode import SAMPLE_RATE, decode

FRAME, HOP, FFT = 400, 160, 512  # samples: 25 ms every 10 ms
BANDS, COEFFICIENTS = 40, 13
DELTA_REACH = 2  # frames to both sides, over which a slope is fitted
GRID = {"svc__C": [0.1, 1.0, 10.0, 100.0, 1000.0], "svc__gamma": ["scale", 0.0001, 0.001, 0.01]}
FOLDS = 4


@dataclass(frozen=True)
class Clip:
    """A labelled clip of a corpus; `mfcc` is (frames, 13), `seconds` its length."""

    label: str
    speaker: str
    text: str
    split: str
    group: str
    seconds: float
    mfcc: np.ndarray


def load(corpus: Path) -> list[Clip]:
    """The labelled clips of an archive that `bench.corpus` made."""
    clips = []
    with zipfile.ZipFile(corpus) as archive:
        for row in csv.DictReader(io.StringIO(archive.read("data_train.csv").decode())):
            if row["label"]:
                sound = decode(archive.read(f"data_mp3/train/{row['file']}"))
                clips.append(
                    Clip(
                        row["label"], row["speaker"], row["text"], row["split"] or "train", row["group"],
                        sound.seconds, mfcc(sound.samples),
                    )
                )  # fmt: skip
    return clips


@cache
def _filters() -> np.ndarray:
    return mel_filter_bank(FFT // 2 + 1, BANDS, 20.0, SAMPLE_RATE / 2, SAMPLE_RATE)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """(frames, 13) of mono samples (n,) at 16 kHz, the first coefficient being the level."""
    window = window_function(FRAME, "hann")
    mel = spectrogram(samples, window, FRAME, HOP, fft_length=FFT, power=2.0, mel_filters=_filters(), log_mel="log")
    return dct(mel, axis=0, norm="ortho")[:COEFFICIENTS].T


def deltas(frames: np.ndarray) -> np.ndarray:
    """Slopes over five frames, of the same shape as `frames` (frames, coefficients)."""
    reach = np.arange(-DELTA_REACH, DELTA_REACH + 1)
    padded = np.pad(frames, ((DELTA_REACH, DELTA_REACH), (0, 0)), mode="edge")
    shifted = np.stack([step * padded[DELTA_REACH + step :][: len(frames)] for step in reach])
    return shifted.sum(0) / float((reach**2).sum())


def statistics(frames: np.ndarray) -> np.ndarray:
    """Mean, deviation, 10th and 90th percentile of MFCC (frames, 13), of their slopes and of the slopes' slopes."""
    slopes = deltas(frames)
    every = np.hstack([frames, slopes, deltas(slopes)])
    return np.concatenate([every.mean(0), every.std(0), *np.percentile(every, (10, 90), axis=0)])


def trained(clips: Sequence[Clip]) -> GridSearchCV:
    """The machine with the C and gamma that are best on speakers left out. Raises `ValueError` for too few speakers."""
    speakers = [clip.speaker for clip in clips]
    if len(set(speakers)) < FOLDS:
        raise ValueError(f"{len(set(speakers))} training speakers; {FOLDS} are needed to choose C on others")
    machine = make_pipeline(StandardScaler(), SVC(kernel="rbf", class_weight="balanced"))
    search = GridSearchCV(machine, GRID, scoring="f1_macro", cv=GroupKFold(FOLDS))
    features = np.stack([statistics(clip.mfcc) for clip in clips])
    return search.fit(features, [clip.label for clip in clips], groups=speakers)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="MFCC statistics and a support vector machine on a corpus.")
    parser.add_argument("--corpus", type=Path, default=Path("var/bench/corpus.zip"))
    clips = load(parser.parse_args().corpus)
    machine = trained([clip for clip in clips if clip.split != "test"])
    chosen = ", ".join(f"{name.removeprefix('svc__')} {value}" for name, value in machine.best_params_.items())
    print(f"chosen on speakers left out: {chosen} (macro-F1 {machine.best_score_:.3f} there)")
    for group in sorted({clip.group for clip in clips}):
        test = [clip for clip in clips if clip.split == "test" and clip.group == group]
        truth = np.array([clip.label for clip in test])
        answers = machine.predict(np.stack([statistics(clip.mfcc) for clip in test]))
        names = sorted(set(truth))
        drawn = [
            f1_score(truth[draw], answers[draw], labels=names, average="macro", zero_division=0.0)
            for draw in resamples([clip.speaker for clip in test])
        ]
        found = interval(f1_score(truth, answers, labels=names, average="macro"), np.array(drawn))
        spread = f" ({found['low']:.3f} to {found['high']:.3f})" if drawn else " (one speaker: no interval)"
        print(f"{group}: {len(test)} test clips, classes {', '.join(names)}: macro-F1 {found['value']:.3f}{spread}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
