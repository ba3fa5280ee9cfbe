"""From a judged model to a bundle: gate, folder, proof that it loads and answers as it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bundling.plan import BundlePlan, write_and_prove
from pipeline.bundling.settings import BundleSettings
from pipeline.bundling.training_clips import clip_hashes, statistics
from pipeline.defects.card import model_card
from pipeline.defects.corpus import Corpus
from pipeline.defects.training_features import feature_statistics
from pipeline.defects.weights import load_model
from pipeline.progress import Report
from speech.bundles.defects import (
    FORMAT,
    AudioSection,
    BundleConfig,
    BundleError,
    CalibrationSection,
    ModelSection,
    MultilabelCalibrationSection,
    load_bundle,
    write_bundle,
)
from speech.defects.agreement import MOST_DIFFERENT
from speech.defects.diagnose import diagnose
from speech.defects.multilabel import AnyCalibration
from speech.home import Home

_TOLERANCE = 1e-3  # of a probability: batches are made up differently when measuring, and a GPU rounds differently
_PROVED = 8  # clips on which the written bundle must answer as the model did


def make_bundle(
    home: Home,
    plan: BundlePlan,
    trained: Path,
    corpus: Corpus,
    metrics: Mapping[str, Any],
    answers: Sequence[Mapping[str, Any]],
    calibration: AnyCalibration,
    settings: BundleSettings,
    class_names: Mapping[str, Mapping[str, str]],
    report: Report,
) -> Path:
    """Write the bundle, load it again and hold its answers against those that were measured.

    Raises `BundleError` where they differ; then the folder is gone. Raises it, too, where `metrics` were made by a
    version that did not calibrate.
    """
    if "calibration" not in metrics:
        raise BundleError("an older version made this evaluation, without a calibration; launch evaluation again")
    model, applied = load_model(trained), calibration.as_dict()
    config = BundleConfig(
        format=FORMAT,
        recipe="defects",
        id=plan.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        language=corpus.clips.language,
        class_names={name: dict(names) for name, names in class_names.items()},
        audio=AudioSection(min_seconds=corpus.clips.meta["options"]["min_seconds"], max_seconds=settings.max_seconds),
        model=ModelSection(**model.spec.as_dict()),
        calibration=CalibrationSection(**applied) if model.spec.exclusive else None,
        multilabel_calibration=None if model.spec.exclusive else MultilabelCalibrationSection(**applied),
        precisions=metrics["precisions"],
        gate=vars(plan.gate),
        lineage={"run": plan.run, **plan.lineage},
    )

    def write(folder: Path) -> None:
        card = model_card(config, metrics, corpus)
        told = statistics(corpus.clips) | feature_statistics(model, corpus, report)
        write_bundle(folder, config, model, dict(metrics), told, clip_hashes(corpus.clips), card)

    exact = metrics.get("arithmetic", "fp32") == "fp32"
    tolerance = _TOLERANCE if exact else MOST_DIFFERENT  # a GPU judged it in bf16 or fp16
    return write_and_prove(home, plan, write, lambda folder: prove(folder, corpus, answers, tolerance))


def prove(folder: Path, corpus: Corpus, answers: Sequence[Mapping[str, Any]], tolerance: float = _TOLERANCE) -> None:
    """Load the bundle and diagnose some test clips; raises `BundleError` where it answers otherwise than measured."""
    bundle = load_bundle(folder)
    by_id = {record.id: record for record in corpus.clips.of_split("test")}
    for answer in answers[:_PROVED]:
        (again,) = diagnose(bundle.model, [corpus.clips.samples(by_id[answer["clip"]])], bundle.calibration)
        difference = float(np.abs(np.subtract(again.probabilities, answer["probabilities"])).max())
        if difference > tolerance:
            raise BundleError(
                f"{folder.name} answers otherwise than the model that was measured: clip {answer['clip']} differs by "
                f"{difference:.4f}"
            )
