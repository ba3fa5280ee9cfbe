"""Clips and answers made by hand, for what is shown of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.defects.predictions import LabelledClip
from speech.defects.calibration import Verdict
from speech.defects.diagnose import Diagnosis
from speech.defects.localisation import Place
from tests.bundles import CLASSES
from tests.recordings import RATE, hum

FRAME_SECONDS = 0.02


def clip(name: str, label: str = "none", **more: Any) -> LabelledClip:
    """A clip of one second whose content's hash is its name."""
    fields: dict[str, Any] = {"counts": None, "load": lambda: hum(1.0), "speaker": name} | more
    return LabelledClip(clip=name, content=name, label=label, **fields)


def answer(
    named: str,
    *also: str,
    exclusive: bool = True,
    unsure: Sequence[str] = (),
    places: Sequence[Place] = (),
    seconds: float = 1.0,
    letters: Sequence[str] = ("р", "г"),
    intensity: np.ndarray | None = None,
) -> Diagnosis:
    """An answer that names a class, or further defects where classes are not exclusive, and calls some unsure."""
    said = (named, *also)
    probabilities = [0.7 if name in said else 0.1 for name in CLASSES]
    if not exclusive:
        probabilities[0] = float(np.prod([1 - probability for probability in probabilities[1:]]))
    verdicts = {name: Verdict.yes if name in said else Verdict.no for name in CLASSES[1:]}
    frames = int(seconds / FRAME_SECONDS)
    heard = np.zeros((frames, len(letters)), dtype=np.float32) if intensity is None else intensity
    return Diagnosis(
        classes=CLASSES,
        probabilities=tuple(probabilities),
        logits=(0.0,) * len(CLASSES),
        markers=dict(zip(letters, heard.sum(0).tolist(), strict=True)),
        seconds=seconds,
        verdicts=verdicts | dict.fromkeys(unsure, Verdict.unsure),
        places=tuple(places),
        frame_seconds=FRAME_SECONDS,
        intensity=heard,
        exclusive=exclusive,
    )


def noise(seconds: float) -> np.ndarray:
    """Full of detail everywhere: what compresses worst."""
    return np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * RATE)).astype(np.float32)
