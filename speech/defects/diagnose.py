"""From samples to a diagnosis: the one function that evaluation and the service both call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from speech.audio.decode import SAMPLE_RATE
from speech.defects.calibration import Verdict
from speech.defects.localisation import HEARD_FROM, Place, find_places, heard_in
from speech.defects.model import DefectModel, collate
from speech.defects.multilabel import AnyCalibration, present, uncalibrated
from speech.defects.spec import REFERENCE_CLASS, ModelSpec
from speech.defects.windows import window_bounds

_WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Diagnosis:
    """What the model says of one clip."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Calibrated, in the order of `classes`. They add up to 1 where classes are exclusive."""
    logits: tuple[float, ...]
    """The model's own, in the order of `classes`. Where classes are not exclusive, that of no defect means nothing."""
    markers: dict[str, float]
    """Marker letter to its predicted count."""
    seconds: float
    verdicts: dict[str, Verdict]
    """Defect class to its verdict."""
    places: tuple[Place, ...] = ()
    """Where the defects that are named are heard, in order of time."""
    spelling: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(frames, 1 + alphabet): log probabilities of no letter and of each; None where the model does not spell."""
    frame_seconds: float = 0.0
    """From one frame to the next."""
    intensity: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(frames, letters): how much of each marker letter is heard in each frame, in the order of `markers`."""
    heard: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(frames, classes): how much of each class is heard in each frame, 0 to 1."""
    frame_scores: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(frames, classes): the logits of each frame by itself; where classes are exclusive, beyond those of no defect."""
    features: np.ndarray | None = field(default=None, repr=False, compare=False)
    """(width,): what the heads judge by, of all frames together; see `speech.defects.feature_distance`."""
    exclusive: bool = True
    """Whether the clip has one class. Else it may have several defects, and the probability of no defect is the product
    of the defects' absences."""

    @property
    def named(self) -> tuple[str, ...]:
        """The classes that the clip most probably has: one, or several defects where classes are not exclusive."""
        if self.exclusive:
            return (self.classes[int(np.argmax(self.probabilities))],)
        return present(self.classes, self.probabilities)

    @property
    def most_probable(self) -> str:
        """The most probable class, of those `named`."""
        return max(self.named, key=lambda name: self.probabilities[self.classes.index(name)])


def diagnose(
    model: DefectModel, clips: Sequence[np.ndarray], calibration: AnyCalibration | None = None
) -> list[Diagnosis]:
    """Diagnose clips of mono float32 at 16 kHz, each of shape (n,), as one batch; answers keep the order.

    `calibration` is the bundle's. Without it the probabilities are those of the softmax, or of the sigmoids.

    A clip that is longer than the model's `window_seconds` is judged in windows, so that its length is no evidence.

    The model must be in evaluation mode. A clip's answer does not depend on the other clips of the batch: an encoder
    that takes no attention mask, so that padding would change its output, gets its clips one by one.

    Raises FloatingPointError where the model gives values that are not finite, ValueError where the calibration is not
    for such classes.
    """
    calibration = calibration or uncalibrated(model.spec)
    if calibration.exclusive != model.spec.exclusive:
        kind = "exclusive classes" if calibration.exclusive else "classes that are not exclusive"
        raise ValueError(f"the calibration is for {kind}, the model is not")
    step = round(model.frame_seconds * SAMPLE_RATE)
    bounds = [window_bounds(clip, model.spec.window_seconds, step) for clip in clips]
    windows = [clip[start:end] for clip, ends in zip(clips, bounds, strict=True) for start, end in pairwise(ends)]
    heard = iter(_heard(model, windows, calibration))
    return [
        _diagnosis(model, calibration, len(clip), _joined([next(heard) for _ in ends[1:]], ends, step))
        for clip, ends in zip(clips, bounds, strict=True)
    ]


class _Heard(NamedTuple):
    """What the model makes of a window, or of a clip: figures by class or letter (n,), and by frame (frames, n)."""

    logits: np.ndarray
    counts: np.ndarray
    intensity: np.ndarray
    evidence: np.ndarray
    scores: np.ndarray
    sounding: np.ndarray
    spelling: np.ndarray | None
    features: np.ndarray


def _heard(model: DefectModel, windows: Sequence[np.ndarray], calibration: AnyCalibration) -> list[_Heard]:
    """What is heard in windows, as one batch. Raises FloatingPointError."""
    if not windows:
        return []
    if not model.takes_mask and len(windows) > 1:
        return [_heard(model, [window], calibration)[0] for window in windows]
    sound, lengths = collate(windows, model.spec.normalise)
    device = next(model.parameters()).device
    with torch.inference_mode():
        output = model(sound.to(device), lengths.to(device))
        logits = output.logits.double().cpu()
        counts = output.counts.double().cpu()
        of_frames = [
            each.float().cpu().numpy()
            for each in (
                output.intensity,
                output.evidence,
                output.scores,
                _sounding(model, output.intensity, calibration),
            )
        ]
        features = output.features.float().cpu().numpy()
        frames = output.mask.sum(1).tolist()
        spelling = None if output.spelling is None else output.spelling.float().cpu().numpy()
    if not torch.isfinite(logits).all() or not torch.isfinite(counts).all():
        raise FloatingPointError("the model gave values that are not finite")
    intensity, evidence, scores, sounding = of_frames
    return [
        _Heard(
            logits=logits[row].numpy(),
            counts=counts[row].numpy(),
            intensity=intensity[row, :length],
            evidence=evidence[row, :length],
            scores=scores[row, :length],
            sounding=sounding[row, :length],
            spelling=None if spelling is None else spelling[row, :length],
            features=features[row],
        )
        for row, length in enumerate(frames)
    ]


def _joined(windows: Sequence[_Heard], bounds: Sequence[int], step: int) -> _Heard:
    """What is heard in a clip of several windows: the means of logits and of features, each window as heavy as it is
    long, the sum of counts, and frames one after the other, `step` samples each."""
    if len(windows) == 1:
        return windows[0]
    lengths = np.diff(bounds)
    inner = [int(length) // step for length in lengths[:-1]]  # of the last window what is there is all

    def in_time(parts: Sequence[np.ndarray]) -> np.ndarray:
        fitted = [_lasting(part, frames) for part, frames in zip(parts[:-1], inner, strict=True)]
        return np.concatenate([*fitted, parts[-1]])

    by_frame = {
        name: in_time([getattr(window, name) for window in windows])
        for name in ("intensity", "evidence", "scores", "sounding")
    }
    spelled = [window.spelling for window in windows if window.spelling is not None]
    return _Heard(
        logits=np.average([window.logits for window in windows], axis=0, weights=lengths),
        counts=np.sum([window.counts for window in windows], axis=0),
        spelling=in_time(spelled) if spelled else None,
        features=np.average([window.features for window in windows], axis=0, weights=lengths),
        **by_frame,
    )


def _lasting(part: np.ndarray, frames: int) -> np.ndarray:
    """Exactly so many frames: an encoder needs some samples beyond a frame, so a window's last frame is repeated."""
    short = frames - len(part)
    return part[:frames] if short <= 0 else np.concatenate([part, np.repeat(part[-1:], short, axis=0)])


def _diagnosis(model: DefectModel, calibration: AnyCalibration, samples: int, heard: _Heard) -> Diagnosis:
    """What is said of a clip of so many samples in which this is heard."""
    (probabilities,) = calibration.apply(heard.logits[None])
    answer = _said(
        model.spec,
        calibration,
        samples / SAMPLE_RATE,
        probabilities.tolist(),
        heard.logits.tolist(),
        heard.counts.tolist(),
    )
    by_class = heard_in(beyond_reference(model.spec, heard.evidence), heard.scores, heard.sounding)
    return replace(
        answer,
        places=_places(answer, by_class, model.frame_seconds, calibration),
        spelling=heard.spelling,
        frame_seconds=model.frame_seconds,
        intensity=heard.intensity,
        heard=by_class,
        frame_scores=heard.scores,
        features=heard.features,
    )


def _sounding(model: DefectModel, intensity: torch.Tensor, calibration: AnyCalibration) -> torch.Tensor:
    """The probability, (batch, frames, classes), that a marker letter of the class sounds near each frame; 1 for a
    class without letters.

    A defect of a letter is where the letter is. Evidence elsewhere tells the class, but not the place.
    """
    near = []
    for name in model.spec.classes:
        letters = [model.spec.letters.index(letter) for letter in calibration.letters.get(name, ())]
        near.append(model.gate(intensity[..., letters]) if letters else torch.ones_like(intensity[..., 0]))
    return torch.stack(near, -1)


def beyond_reference(spec: ModelSpec, evidence: np.ndarray) -> np.ndarray:
    """Evidence (frames, classes) beyond that of no defect, where classes are exclusive."""
    if not spec.exclusive or REFERENCE_CLASS not in spec.classes:
        return evidence
    return evidence - evidence[:, [spec.classes.index(REFERENCE_CLASS)]]


def _places(
    answer: Diagnosis, heard: np.ndarray, frame_seconds: float, calibration: AnyCalibration
) -> tuple[Place, ...]:
    """Places of every defect that is named or whose verdict is yes; `heard` is (frames, classes)."""
    places = [
        place
        for index, name in enumerate(answer.classes)
        if name != REFERENCE_CLASS and (name in answer.named or answer.verdicts.get(name) == "yes")
        for place in find_places(heard[:, index], frame_seconds, name, calibration.heard_from.get(name, HEARD_FROM))
    ]
    return tuple(sorted(places, key=lambda place: (place.start, place.end)))


def _said(
    spec: ModelSpec,
    calibration: AnyCalibration,
    seconds: float,
    probabilities: list[float],
    logits: list[float],
    counts: list[float],
) -> Diagnosis:
    markers = dict(zip(spec.letters, counts, strict=True))
    return Diagnosis(
        classes=spec.classes,
        probabilities=tuple(probabilities),
        logits=tuple(logits),
        markers=markers,
        seconds=seconds,
        verdicts=calibration.verdicts(spec.classes, probabilities, markers),
        exclusive=spec.exclusive,
    )


def warm_up(model: DefectModel) -> None:
    """Diagnose a second of noise: what would fail on the first request fails here.

    Raises FloatingPointError where the model gives values that are not finite, RuntimeError where its parts do not
    fit together.
    """
    noise = np.random.default_rng(0).standard_normal(int(_WARM_UP_SECONDS * SAMPLE_RATE)).astype(np.float32)
    diagnose(model, [0.1 * noise])
