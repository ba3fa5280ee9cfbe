"""Measures a bundle on a generated corpus whose places are known: letters, defects, probabilities.

    python -m bench.places --corpus var/bench/corpus.zip --bundle var/bundles/<id>

Of the test split: macro-F1; marker letters found within 50 ms; true places of defects hit, and false places a minute.
A place is hit if a span of its class overlaps it, widened by 50 ms to both sides; a span that overlaps no place of its
class is false.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score

from speech.audio.decode import decode
from speech.bundles.defects import load_bundle
from speech.defects.diagnose import diagnose
from speech.defects.localisation import Place
from speech.defects.model import DefectModel, collate
from speech.defects.multilabel import AnyCalibration
from speech.defects.spec import REFERENCE_CLASS

LETTERS = ("р", "г")
NEAR_SECONDS = 0.05
# What a peak must add up to over seven frames, where the model counts, and where it spells: a letter lasts some frames.
LEAST_COUNTED, LEAST_SPELLED = 0.4, 1.2

Span = tuple[float, float]


@dataclass(frozen=True)
class Found:
    """`hits` of `there` true places were found by `said` claims."""

    hits: int = 0
    said: int = 0
    there: int = 0

    def __add__(self, other: Found) -> Found:
        return Found(self.hits + other.hits, self.said + other.said, self.there + other.there)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hits / max(1, self.said + self.there)


def peaks(intensity: np.ndarray, frame_seconds: float, least: float) -> list[float]:
    """Seconds of the local maxima of a letter's intensity (frames,) around which at least `least` of it is heard."""
    curve = np.convolve(intensity, np.ones(3) / 3, mode="same")
    return [
        (t + 0.5) * frame_seconds
        for t in range(1, len(curve) - 1)
        if curve[t - 1] <= curve[t] > curve[t + 1] and intensity[max(0, t - 3) : t + 4].sum() > least
    ]


def match(moments: list[float], spans: list[Span], near: float) -> Found:
    """Each span takes one moment inside it or `near` seconds beside it, each moment serves one span."""
    left, hits = list(moments), 0
    for start, end in spans:
        inside = [moment for moment in left if start - near <= moment <= end + near]
        if inside:
            left.remove(inside[0])
            hits += 1
    return Found(hits, len(moments), len(spans))


def overlaps(said: list[Span], there: list[Span], near: float) -> tuple[int, int]:
    """(true places hit, claims that hit none)."""

    def touch(one: Span, other: Span) -> bool:
        return one[0] < other[1] + near and other[0] - near < one[1]

    hit = sum(any(touch(claim, place) for claim in said) for place in there)
    return hit, sum(not any(touch(claim, place) for place in there) for claim in said)


def test_clips(corpus: Path, group: str) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Samples of each test clip of a group, and what is known of it: label, defects, letters."""
    places = json.loads(corpus.with_suffix(".places.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(corpus) as archive, tempfile.TemporaryDirectory() as folder:
        for row in csv.DictReader(io.StringIO(archive.read("data_train.csv").decode())):
            known = places[row["file"]]
            if (known["split"], known["group"]) == ("test", group):
                path = Path(folder) / "clip.mp3"
                path.write_bytes(archive.read(f"data_mp3/train/{row['file']}"))
                yield decode(path).samples, known


def intensity_of(model: DefectModel, samples: np.ndarray) -> np.ndarray:
    """(frames, letters) of one clip."""
    with torch.inference_mode():
        return model(*collate([samples], model.spec.normalise)).intensity[0].numpy()


def spans_of(places: Sequence[Place] | Sequence[Sequence[Any]], defect: str) -> list[Span]:
    """Start and end of every place of a defect."""
    return [
        (place.start, place.end) if isinstance(place, Place) else (place[1], place[2])
        for place in places
        if (place.defect if isinstance(place, Place) else place[0]) == defect
    ]


def found_letters(model: DefectModel, samples: np.ndarray, places: Sequence[Sequence[Any]]) -> dict[str, Found]:
    """How well the letters of one clip are found; `places` are their (letter, start, end) in seconds."""
    least = LEAST_SPELLED if model.spec.alphabet else LEAST_COUNTED
    intensity = intensity_of(model, samples)
    return {
        letter: match(peaks(intensity[:, index], model.frame_seconds, least), spans_of(places, letter), NEAR_SECONDS)
        for index, letter in enumerate(model.spec.letters)
        if letter in LETTERS
    }


@dataclass
class Tally:
    """Places of one class over all clips: `hit` of `there` true ones; `false` claims that hit none."""

    hit: int = 0
    there: int = 0
    false: int = 0


def measure(model: DefectModel, calibration: AnyCalibration, corpus: Path, group: str = "espeak") -> dict[str, Any]:
    """A model's figures on the test clips of one group of a corpus with known places, JSON-able.

    `macro_f1`; `letters`: F1 per marker letter; `places`: per defect the share of true places `hit` and `false` ones a
    minute; `minutes` of sound.
    """
    classes = [name for name in model.spec.classes if name != REFERENCE_CLASS]
    letters = {letter: Found() for letter in model.spec.letters if letter in LETTERS}
    tallies = {name: Tally() for name in classes}
    truth, answers, seconds = [], [], 0.0
    for samples, known in test_clips(corpus, group):
        answer = diagnose(model, [samples], calibration)[0]
        truth.append(known["label"])
        answers.append(answer.most_probable)
        seconds += answer.seconds
        for name, tally in tallies.items():
            said, places = spans_of(answer.places, name), spans_of(known["defects"], name)
            right, wrong = overlaps(said, places, NEAR_SECONDS)
            tally.hit, tally.there, tally.false = tally.hit + right, tally.there + len(places), tally.false + wrong
        for letter, found in found_letters(model, samples, known["letters"]).items():
            letters[letter] += found
    return {
        "clips": len(truth),
        "minutes": seconds / 60,
        "macro_f1": float(f1_score(truth, answers, average="macro", labels=sorted(set(truth)))),
        "letters": {letter: found.f1 for letter, found in letters.items()},
        "places": {
            name: {"hit": t.hit / max(1, t.there), "there": t.there, "false_a_minute": 60 * t.false / seconds}
            for name, t in tallies.items()
        },
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure a bundle on a corpus with known places.")
    parser.add_argument("--corpus", type=Path, default=Path("var/bench/corpus.zip"))
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--group", default="espeak", choices=("espeak", "festival"))
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    figures = measure(bundle.model, bundle.calibration, options.corpus, options.group)
    print(f"{options.bundle.name}: {figures['clips']} test clips, {figures['minutes']:.1f} min")
    print(f"macro-F1 {figures['macro_f1']:.3f}")
    for letter, score in figures["letters"].items():
        print(f"{letter} within 50 ms: F1 {score:.3f}")
    for name, row in figures["places"].items():
        print(f"{name}: {row['hit']:.0%} of {row['there']} places hit, {row['false_a_minute']:.2f} false a minute")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
