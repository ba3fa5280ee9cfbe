"""From a judged model to a bundle: gate, folder, proof that it loads and answers as it was measured."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.card import model_card
from pipeline.corpus import Corpus
from pipeline.settings import BundleSettings
from pipeline.training.weights import load_model
from speech.bundle import (
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
from speech.diagnose import diagnose
from speech.files import whole_folder
from speech.gate import Gate, GateRefused
from speech.home import Home
from speech.likeness import describe, figures_of
from speech.publishing import read_pointer

_TOLERANCE = 1e-3  # of a probability: batches are made up differently when measuring, and a GPU rounds differently
_PROVED = 8  # clips on which the written bundle must answer as the model did


@dataclass(frozen=True)
class Making:
    """What a bundle is made of, beside the model: its id, run, and the keys of the stages it came from."""

    id: str
    run: str
    gate: Gate
    lineage: Mapping[str, str]
    class_names: Mapping[str, Mapping[str, str]]


def require_fresh(home: Home, making: Making, metrics: Mapping[str, Any]) -> None:
    """Refuse an evaluation that compared with another bundle than the one now in service.

    Without this, materialising the bundle alone after a better one was published would pass the gate by.
    """
    pointer = read_pointer(home)
    if pointer is None or pointer.current == making.id:
        return
    judged_beside = (metrics.get("champion") or {}).get("in_service")
    if pointer.current != judged_beside:
        raise GateRefused(
            f"{pointer.current} went into service since the evaluation, which saw {judged_beside or 'none'} there; "
            "launch evaluation and bundle again"
        )


def make_bundle(
    home: Home,
    making: Making,
    trained: Path,
    corpus: Corpus,
    metrics: Mapping[str, Any],
    answers: Sequence[Mapping[str, Any]],
    settings: BundleSettings,
) -> Path:
    """Write the bundle, load it again and hold its answers against those that were measured.

    Raises `BundleError` where they differ; then the folder is gone. Raises it, too, where `metrics` were made by a
    version that did not calibrate.
    """
    if "calibration" not in metrics:
        raise BundleError("an older version made this evaluation, without a calibration; launch evaluation again")
    folder = home.bundles / making.id
    model, applied = load_model(trained), metrics["calibration"]["applied"]
    config = BundleConfig(
        format=FORMAT,
        recipe="defects",
        id=making.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        language=corpus.clips.language,
        class_names={name: dict(names) for name, names in making.class_names.items()},
        audio=AudioSection(min_seconds=corpus.clips.meta["options"]["min_seconds"], max_seconds=settings.max_seconds),
        model=ModelSection(**model.spec.as_dict()),
        calibration=CalibrationSection(**applied) if model.spec.exclusive else None,
        multilabel_calibration=None if model.spec.exclusive else MultilabelCalibrationSection(**applied),
        precisions=metrics["precisions"],
        gate=vars(making.gate),
        lineage={"run": making.run, **making.lineage},
    )
    training = corpus.clips.of_split("train") + corpus.clips.of_split("validation")
    with whole_folder(folder) as temporary:
        write_bundle(
            temporary,
            config,
            model,
            dict(metrics),
            statistics(corpus),
            (record.content for record in training),
            model_card(config, metrics, corpus),
        )
    try:
        prove(folder, corpus, answers)
    except BundleError:
        shutil.rmtree(folder)
        raise
    return folder


def prove(folder: Path, corpus: Corpus, answers: Sequence[Mapping[str, Any]]) -> None:
    """Load the bundle and diagnose some test clips; raises `BundleError` where it answers otherwise than measured."""
    bundle = load_bundle(folder)
    by_id = {record.id: record for record in corpus.clips.of_split("test")}
    for answer in answers[:_PROVED]:
        (again,) = diagnose(bundle.model, [corpus.clips.samples(by_id[answer["clip"]])], bundle.calibration)
        difference = float(np.abs(np.subtract(again.probabilities, answer["probabilities"])).max())
        if difference > _TOLERANCE:
            raise BundleError(
                f"{folder.name} answers otherwise than the model that was measured: clip {answer['clip']} differs by "
                f"{difference:.4f}"
            )


def statistics(corpus: Corpus) -> dict[str, Any]:
    """Quantiles of the training clips' length, level, noise, silence and colour, and how far they lie apart: by this
    the service tells when what it is sent is unlike them."""
    clips = corpus.clips
    return describe([figures_of(clips.samples(record)) for record in clips.of_split("train")])
