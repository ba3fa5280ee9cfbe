"""The bundle in service, judged on the same clips as its challenger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.defects.predictions import LabelledClip, predict
from pipeline.evaluation.bootstrap import paired_difference, unit
from pipeline.evaluation.comparable_clips import not_trained_on
from pipeline.evaluation.metrics import metrics_of
from pipeline.progress import Report
from speech.bundles.defects import BundleError, load_bundle, trained_on
from speech.defects.diagnose import Diagnosis


def compare(
    folder: Path,
    clips: Sequence[LabelledClip],
    answers: Sequence[Diagnosis],
    classes: Sequence[str],
    batch_size: int,
    device: str,
    report: Report,
    *,
    exclusive: bool = True,
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Both models' macro-F1 on the clips that the champion was not trained on.

    `answers` are the challenger's, one per clip. The result has `bundle`, and either `macro_f1`,
    `candidate_macro_f1`, `clips`, `excluded`, `difference` and `units`, or `left_out` with the reason why nothing was
    compared. Where the two differ in whether classes are `exclusive`, nothing is. Beside it
    `pipeline.evaluation.bootstrap.Difference.worse_by`, empty where nothing was compared.
    """
    result: dict[str, Any] = {"bundle": folder.name}
    try:
        champion = load_bundle(folder, device)
        seen = trained_on(folder)
    except BundleError as error:
        return result | {"left_out": f"the bundle in service cannot be loaded: {error}"}, ()
    if tuple(champion.model.spec.classes) != tuple(classes):
        others = ", ".join(champion.model.spec.classes)
        return result | {"left_out": f"{folder.name} in service tells other classes apart: {others}"}, ()
    if champion.model.spec.exclusive != exclusive:
        names = ("one class", "several defects")
        by_them, by_us = names if not exclusive else reversed(names)
        why = f"to {folder.name} in service a clip has {by_them}, to this model {by_us}: figures do not compare"
        return result | {"left_out": why}, ()
    fair, left_out = not_trained_on(folder.name, [clip.content for clip in clips], seen)
    if left_out:
        return result | {"left_out": left_out}, ()
    truth = [clips[index].labels for index in fair]
    theirs = predict(champion.model, [clips[i] for i in fair], batch_size, report, champion.calibration)
    theirs_said = [answer.named for answer in theirs]
    ours_said = [answers[index].named for index in fair]
    found = paired_difference(truth, ours_said, theirs_said, [unit(clips[i]) for i in fair], classes)
    compared = {
        "macro_f1": metrics_of(truth, theirs_said, classes, exclusive=exclusive)["macro_f1"],
        "candidate_macro_f1": metrics_of(truth, ours_said, classes, exclusive=exclusive)["macro_f1"],
        "clips": len(fair),
        "excluded": len(clips) - len(fair),
    }
    return result | compared | found.as_dict(), found.worse_by
