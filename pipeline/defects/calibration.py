"""The calibration of a trained model on the validation split, and how it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.defects.corpus import Corpus
from pipeline.defects.multilabel_evaluation import calibrate_defects
from pipeline.defects.place_thresholds import choose_heard_from
from pipeline.defects.predictions import LabelledClip, predict
from pipeline.defects.probability_fit import Fitted, calibrate
from pipeline.defects.settings import CalibrationSettings
from pipeline.defects.sound_scales import sound_scales
from pipeline.defects.weights import held_out_model, load_model
from pipeline.evaluation.bootstrap import unit
from pipeline.evaluation.metrics import indicators
from pipeline.progress import Report
from speech.defects.calibration import Calibration
from speech.defects.diagnose import Diagnosis
from speech.defects.model import DefectModel
from speech.defects.multilabel import AnyCalibration, MultilabelCalibration, uncalibrated
from speech.defects.spec import ModelSpec
from speech.files import read_json, write_json
from speech.text.language import load_language

_CALIBRATION = "calibration.json"
_APPLIED, _FIT = "applied", "fit"


def calibrate_model(
    corpus: Corpus, trained: Path, settings: CalibrationSettings, device: str, report: Report
) -> Fitted:
    """Calibrate the model in the folder `trained` on the labelled validation clips: probabilities, thresholds of
    verdicts, and from how much on a frame belongs to a place of a defect.

    Where the model learned from the validation speakers too, its twin that has not heard them answers.
    """
    model = load_model(held_out_model(trained), device)
    clips = corpus.judged(corpus.clips.of_split("validation", labelled=True))
    letters, classes = class_letters(corpus, model), model.spec.classes
    plain = replace(uncalibrated(model.spec), letters=letters)
    answers = predict(model, clips, settings.batch_size, report, plain)
    logits, truth, units = outcomes(clips, answers, classes)
    fitted = (
        calibrate(logits, truth.argmax(1), units, letters, settings)
        if model.spec.exclusive
        else calibrate_defects(logits, truth, units, classes, letters, settings)
    )
    heard = [answer.heard for answer in answers if answer.heard is not None]
    heard_from = choose_heard_from(heard, truth, classes, model.frame_seconds, letters)
    report(f"calibration: {fitted.summary['note']}")
    scales, told = sound_scales(corpus, clips, answers, letters, model.spec)
    for name, row in told.items():
        report(f"calibration: sounds of {name}: {row['note']}")
    calibration = replace(fitted.calibration, heard_from=heard_from, sounds=scales)
    return replace(fitted, calibration=calibration, summary=fitted.summary | {"sounds": told})


def class_letters(corpus: Corpus, model: DefectModel) -> dict[str, tuple[str, ...]]:
    """Each class's marker letters, of those that the model counts."""
    known = load_language(corpus.clips.language).classes
    counted = model.spec.letters
    return {name: tuple(x for x in known[name].markers if x in counted) for name in model.spec.classes if name in known}


def outcomes(
    clips: Sequence[LabelledClip], answers: Sequence[Diagnosis], classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits and true classes (bool), both (clips, classes), and the voice of each clip, by its speaker where known."""
    logits = np.array([answer.logits for answer in answers]).reshape(-1, len(classes))
    return logits, indicators([clip.labels for clip in clips], classes), [unit(clip) for clip in clips]


def save_calibration(fitted: Fitted, folder: Path) -> None:
    """Write a calibration, and how it came about, to `folder`."""
    write_json(folder / _CALIBRATION, {_APPLIED: fitted.calibration.as_dict(), _FIT: fitted.summary})


def load_calibration(folder: Path, spec: ModelSpec) -> Fitted:
    """What `save_calibration` wrote for a model of this spec."""
    kept = read_json(folder / _CALIBRATION)
    applied: AnyCalibration = (
        Calibration.from_dict(kept[_APPLIED])
        if spec.exclusive
        else MultilabelCalibration.from_dict(kept[_APPLIED], spec.classes)
    )
    return Fitted(applied, kept[_FIT])
