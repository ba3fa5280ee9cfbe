"""The bundle: an immutable, checksummed folder with all that the service needs.

    config.yaml        what it is and how to serve it (generated)
    model.safetensors  weights
    metrics.json       test figures, the gate's conditions and their outcome
    statistics.json    the training clips' levels, lengths, noise and colour, to tell what is unlike them
    trained_on.txt     sha256 of each training clip's file, one a line
    README.md          model card
    tokenizer.json, …  of a recogniser, the files of its tokenizer and feature extractor
    manifest.json      sha256 and size of each file above

Two recipes make them: `defects`, whose bundles are loaded here, and `asr`, see `speech.bundles.recogniser`; files,
manifest, gate and the way into service are the same.

No pickle and no code; weights are read with safetensors alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech.bundles.config import (
    AgreementSection,
    AnyConfig,
    AudioSection,
    BundleConfig,
    CalibrationSection,
    CommonConfig,
    ModelSection,
    MultilabelCalibrationSection,
    PlattSection,
    RecogniserConfig,
    RecogniserSection,
    open_bundle,
    other_recipe,
    read_config,
    read_defects_config,
    read_gate,
)
from speech.bundles.files import (
    FAULTS,
    FILES,
    FORMAT,
    MANIFEST,
    WEIGHTS,
    BundleError,
    check_id,
    check_sizes,
    files_of,
    load_weights,
    read_feature_statistics,
    read_metrics,
    read_statistics,
    trained_on,
    unfitting,
    verify,
    write_files,
)
from speech.defects.feature_distance import FeatureDistance
from speech.defects.multilabel import AnyCalibration
from speech.defects.spec import ModelSpec
from speech.defects.training_distance import Distance, TrainingDistance
from speech.encoders.precision import Precision

if TYPE_CHECKING:  # torch takes seconds to import, and only loading and writing need it
    from speech.defects.diagnose import Diagnosis
    from speech.defects.model import DefectModel

__all__ = [
    "FAULTS", "FILES", "FORMAT", "MANIFEST", "WEIGHTS",
    "AgreementSection", "AnyConfig", "AudioSection", "BundleConfig", "BundleError", "CalibrationSection",
    "CommonConfig", "LoadedBundle", "ModelSection", "MultilabelCalibrationSection", "PlattSection", "RecogniserConfig",
    "RecogniserSection", "build_empty", "check_id", "check_sizes", "files_of", "load_bundle", "other_recipe",
    "read_config", "read_defects_config", "read_feature_statistics", "read_gate", "read_metrics", "read_statistics",
    "trained_on", "verify", "write_bundle",
]  # fmt: skip


@dataclass(frozen=True)
class LoadedBundle:
    """A verified bundle in memory, ready for `speech.defects.diagnose`.

    `folder` is where it was read. `training_distance` is None in bundles that do not know what their training clips
    sounded like, `feature_distance` in those that do not know what the model makes of them. The model computes in
    `precision`, the fastest of those whose seconds for a second of sound are in `measured`.
    """

    config: BundleConfig
    model: DefectModel
    calibration: AnyCalibration
    metrics: dict[str, Any]
    folder: Path
    training_distance: TrainingDistance | None = None
    feature_distance: FeatureDistance | None = None
    precision: Precision = Precision.fp32
    measured: Mapping[Precision, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.config.id

    def distance_of(self, diagnosis: Diagnosis) -> Distance | None:
        """How far a recording that this bundle has diagnosed is from the training clips in its features; None where the
        bundle does not know them."""
        if self.feature_distance is None or diagnosis.features is None:
            return None
        return self.feature_distance.of(diagnosis.features, diagnosis.seconds)


def write_bundle(
    folder: Path,
    config: BundleConfig,
    model: DefectModel,
    metrics: dict[str, Any],
    statistics: dict[str, Any],
    trained_on: Iterable[str],
    card: str,
) -> None:
    """Fill an empty folder with a bundle. The caller renames it into place (`speech.files.whole_folder`)."""
    write_files(folder, config, model.state_dict(), metrics, statistics, trained_on, card)


def load_bundle(folder: Path, device: str = "cpu") -> LoadedBundle:
    """Verify a bundle and load it for serving, in evaluation mode. Raises `BundleError`.

    On a CPU the weights are mapped from sealed memory, which all workers of a service share; a weight that is written
    to becomes this process's own.
    """
    from speech.encoders.chunked_front_end import hear_in_pieces

    entries, config = open_bundle(folder)
    if not isinstance(config, BundleConfig):
        raise other_recipe(config, "defects")
    try:
        model = build_empty(config.spec())
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise unfitting(folder, error) from error
    load_weights(model, folder, entries[WEIGHTS])
    hear_in_pieces(model.encoder)
    return LoadedBundle(
        config,
        model.to(device).eval(),
        config.how_calibrated(),
        read_metrics(folder),
        folder,
        read_statistics(folder),
        read_feature_statistics(folder, model.spec.width),
    )


def build_empty(spec: ModelSpec) -> DefectModel:
    """The model of `spec` with weights yet to be loaded; skips the random start, which costs most of a load."""
    from transformers.initialization import no_init_weights

    from speech.defects.model import DefectModel

    with no_init_weights():
        return DefectModel(spec)
