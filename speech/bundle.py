"""The bundle: an immutable, checksummed folder with all that the service needs to diagnose.

    config.yaml        what it is, how to serve it and its calibration (generated)
    model.safetensors  weights of encoder, marker head and defect heads
    metrics.json       test figures, the gate's conditions and their outcome
    statistics.json    the training clips' levels, lengths, noise and colour, to tell what is unlike them
    trained_on.txt     sha256 of each training clip's file, one a line
    README.md          model card
    manifest.json      sha256 and size of each file above

No pickle and no code; weights are read with safetensors alone.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from speech.agreement import Agreement, Precision
from speech.calibration import Calibration
from speech.files import read_json, sha256_file, write_atomically, write_json
from speech.gate import Gate
from speech.likeness import Likeness, LikenessError
from speech.likeness import read as read_likeness
from speech.multilabel import AnyCalibration, MultilabelCalibration, uncalibrated
from speech.sealed import DigestError, Sealed, sealed
from speech.spec import REFERENCE_CLASS, ModelSpec

if TYPE_CHECKING:  # torch takes seconds to import, and only loading and writing need it
    import torch

    from speech.model import DefectModel

# Raised when an older service could not read what is written; 2 added calibration, 3 letters and one head, 4 several
# defects at once, 5 from how much on a place is one, and precisions.
FORMAT = 5
_READ = (1, 2, 3, 4, 5)
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
FILES = ("config.yaml", WEIGHTS, "metrics.json", "statistics.json", "trained_on.txt", "README.md")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{2,99}")
_LONGEST_REASON = 500  # characters; torch names every weight that does not fit, and there are hundreds
_LARGEST_TEXT = 64 << 20  # bytes; a config.yaml or manifest beyond this is no bundle of ours


# Kinds of fault, for whoever counts them: no bundle, files that are not as written, a format of another version, a
# field, weights that do not fit.
FAULTS = ("missing", "files", "format", "config", "weights")


class BundleError(ValueError):
    """A bundle cannot be used; the message names the file and what is wrong with it, `fault` is one of `FAULTS`."""

    def __init__(self, message: str, fault: str = "files") -> None:
        super().__init__(message)
        self.fault = fault


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Probability = Annotated[float, Field(ge=0, le=1)]


class AudioSection(_Section):
    """What sound the model takes. Seconds."""

    sample_rate: Literal[16000] = 16000
    min_seconds: float = Field(gt=0)
    max_seconds: float = Field(gt=0)


class ModelSection(_Section):
    """`speech.model.ModelSpec`, written out."""

    encoder: dict[str, Any]
    classes: list[str] = Field(min_length=2)
    letters: list[str]
    marked: list[bool]
    width: int = Field(gt=0)
    normalise: bool
    two_heads: bool = True
    alphabet: str = ""
    exclusive: bool = True  # bundles of formats 1 to 3 know no other
    echo: bool = False
    members: int = Field(1, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.classes)) != len(self.classes) or len(set(self.letters)) != len(self.letters):
            raise ValueError("classes or letters are named twice")
        if len(self.marked) != len(self.classes):
            raise ValueError(f"marked has {len(self.marked)} values for {len(self.classes)} classes")
        if len(set(self.alphabet)) != len(self.alphabet):
            raise ValueError("alphabet names a letter twice")
        if self.alphabet and not set(self.letters) <= set(self.alphabet):
            raise ValueError("alphabet lacks marker letters")
        if not self.exclusive and REFERENCE_CLASS not in self.classes:
            raise ValueError(f"classes that are not exclusive lack {REFERENCE_CLASS}")
        return self


class CalibrationSection(_Section):
    """`speech.calibration.Calibration`, written out."""

    temperature: float = Field(gt=0, allow_inf_nan=False)
    bias: list[Annotated[float, Field(allow_inf_nan=False)]]
    unsure_below: float = Field(ge=0, le=1)
    fewest_letters: float = Field(ge=0, allow_inf_nan=False)
    letters: dict[str, list[str]]
    heard_from: dict[str, _Probability] = {}  # bundles of formats 1 to 4 do not say


class PlattSection(_Section):
    """`speech.multilabel.Platt`, written out."""

    temperature: float = Field(gt=0, allow_inf_nan=False)
    bias: float = Field(allow_inf_nan=False)
    yes_from: float = Field(ge=0, le=1)
    no_from: float = Field(ge=0, le=1)


class MultilabelCalibrationSection(_Section):
    """`speech.multilabel.MultilabelCalibration`, written out."""

    defects: dict[str, PlattSection]
    fewest_letters: float = Field(ge=0, allow_inf_nan=False)
    letters: dict[str, list[str]]
    heard_from: dict[str, _Probability] = {}  # bundles of formats 1 to 4 do not say


class AgreementSection(_Section):
    """`speech.agreement.Agreement`, written out."""

    clips: int = Field(ge=0)
    difference: float = Field(ge=0, allow_inf_nan=False)
    flipped: int = Field(ge=0)
    flipped_sure: int = Field(ge=0)


class BundleConfig(_Section):
    """config.yaml."""

    format: int
    recipe: Literal["defects"]
    id: str
    created: str
    language: str
    class_names: dict[str, dict[str, str]]
    audio: AudioSection
    model: ModelSection
    calibration: CalibrationSection | None = None  # None in bundles of format 1, and where classes are not exclusive
    multilabel_calibration: MultilabelCalibrationSection | None = None  # where they are not
    # How precisions other than fp32 answer beside it; one that is not here, as in formats 1 to 4, may not serve.
    precisions: dict[Precision, AgreementSection] = {}
    gate: dict[str, Any]
    lineage: dict[str, Any]

    @field_validator("calibration")
    @classmethod
    def _calibrates_this_model(
        cls, calibration: CalibrationSection | None, others: ValidationInfo
    ) -> CalibrationSection | None:
        model: ModelSection | None = others.data.get("model")
        if calibration is None or model is None:
            return calibration
        if not model.exclusive:
            raise ValueError("is for exclusive classes, which the model's are not")
        if len(calibration.bias) not in (0, len(model.classes)):
            raise ValueError(f"bias has {len(calibration.bias)} values for {len(model.classes)} classes")
        _check_letters(calibration.letters, model)
        return calibration

    @field_validator("multilabel_calibration")
    @classmethod
    def _calibrates_these_defects(
        cls, calibration: MultilabelCalibrationSection | None, others: ValidationInfo
    ) -> MultilabelCalibrationSection | None:
        model: ModelSection | None = others.data.get("model")
        if calibration is None or model is None:
            return calibration
        if model.exclusive:
            raise ValueError("is for classes that are not exclusive, which the model's are")
        odd = set(calibration.defects) ^ (set(model.classes) - {REFERENCE_CLASS})
        if odd:
            raise ValueError(f"defects: the model's and these differ in {', '.join(sorted(odd))}")
        _check_letters(calibration.letters, model)
        return calibration

    def agreement(self, precision: Precision) -> Agreement | None:
        """How a precision answers beside fp32; None where nobody has measured it."""
        section = self.precisions.get(precision)
        return Agreement(**section.model_dump()) if section else None

    def spec(self) -> ModelSpec:
        return ModelSpec.from_dict(self.model.model_dump())

    def how_calibrated(self) -> AnyCalibration:
        """How `speech.diagnose` is to turn this model's logits into probabilities and verdicts."""
        if self.multilabel_calibration:
            return MultilabelCalibration.from_dict(self.multilabel_calibration.model_dump(), self.model.classes)
        return Calibration.from_dict(self.calibration.model_dump()) if self.calibration else uncalibrated(self.spec())


def _check_letters(by_class: dict[str, list[str]], model: ModelSection) -> None:
    for name, letters in by_class.items():
        if name not in model.classes or not set(letters) <= set(model.letters):
            raise ValueError(f"letters: {name} with {', '.join(letters) or 'none'} is not the model's")


@dataclass(frozen=True)
class LoadedBundle:
    """A verified bundle in memory, ready for `speech.diagnose`; `folder` is where it was read, `likeness` None in
    bundles that do not know what their training clips sounded like. The model computes in `precision`, the fastest of
    those whose seconds for a second of sound are in `measured`."""

    config: BundleConfig
    model: DefectModel
    calibration: AnyCalibration
    metrics: dict[str, Any]
    folder: Path
    likeness: Likeness | None = None
    precision: Precision = Precision.fp32
    measured: Mapping[Precision, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.config.id


def check_id(bundle_id: str) -> str:
    """The id itself; raises `BundleError` for anything that could leave the bundles' folder."""
    if not _ID.fullmatch(bundle_id) or ".." in bundle_id:
        raise BundleError(f"{bundle_id!r} is no bundle id (lower-case letters, digits, '.', '_' and '-')")
    return bundle_id


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
    from safetensors.torch import save_file

    check_id(config.id)
    text = yaml.safe_dump(config.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
    write_atomically(folder / "config.yaml", "# Generated by the run that made this bundle.\n" + text)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "statistics.json", statistics)
    write_atomically(folder / "trained_on.txt", "".join(f"{digest}\n" for digest in sorted(set(trained_on))))
    write_atomically(folder / "README.md", card)
    entries = {n: {"sha256": sha256_file(folder / n), "bytes": (folder / n).stat().st_size} for n in FILES}
    write_json(folder / MANIFEST, {"format": FORMAT, "files": entries})


def verify(folder: Path) -> None:
    """Check that a bundle's files are exactly those of its manifest, unchanged. Raises `BundleError`."""
    _verify(folder, FILES)


def _verify(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`verify`, reading only some of the files; the manifest's entry per file."""
    entries = _listed(folder)
    for name in names:
        if sha256_file(folder / name) != entries[name].get("sha256"):
            raise _changed(folder, name)
    return entries


def _changed(folder: Path, name: str) -> BundleError:
    return BundleError(f"{folder.name}/{name} was changed or cut off: its checksum differs from the manifest")


def check_sizes(folder: Path) -> None:
    """What `verify` finds without reading the files: those of the manifest, as long as it says. Raises `BundleError`.

    For lists. What is put into service is verified.
    """
    for name, entry in _listed(folder).items():
        size = (folder / name).stat().st_size
        if size != entry.get("bytes"):
            raise BundleError(
                f"{folder.name}/{name} was changed or cut off: {size} bytes, {entry.get('bytes')} in the manifest"
            )


def _listed(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest's entry per file; the folder holds these files and no others. Raises `BundleError`."""
    if not folder.is_dir():
        raise BundleError(f"there is no bundle at {folder}", "missing")
    try:
        if (folder / MANIFEST).stat().st_size > _LARGEST_TEXT:
            raise BundleError(f"{folder.name}/{MANIFEST} is too large to be a manifest")
        manifest = read_json(folder / MANIFEST)
        version, entries = manifest["format"], dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{folder.name}/{MANIFEST} cannot be read: {error!r}") from error
    if version not in _READ:
        what = f"{folder.name} has bundle format {version!r}; this version of Vnyatno reads up to {FORMAT}"
        raise BundleError(what, "format")
    odd = sorted((set(entries) ^ set(FILES)) | ({path.name for path in folder.iterdir()} ^ {*FILES, MANIFEST}))
    if odd:
        raise BundleError(f"{folder.name} does not hold the files of a bundle: {', '.join(odd)}")
    for name in FILES:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{folder.name}/{name} is no plain file")
    return {name: entry if isinstance(entry := entries[name], dict) else {} for name in FILES}


def read_config(folder: Path) -> BundleConfig:
    """config.yaml of a bundle, checked. Raises `BundleError` naming the field."""
    try:
        config = BundleConfig.model_validate(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BundleError(f"{folder.name}/config.yaml cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise BundleError(f"{folder.name}/config.yaml, field {field}: {first['msg']}", "config") from error
    if config.format not in _READ:
        raise BundleError(
            f"{folder.name} has bundle format {config.format}; this version of Vnyatno reads up to {FORMAT}", "format"
        )
    return config


def read_metrics(folder: Path) -> dict[str, Any]:
    """metrics.json of a bundle."""
    try:
        metrics = read_json(folder / "metrics.json")
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder.name}/metrics.json cannot be read: {error}") from error
    if not isinstance(metrics, dict):
        raise BundleError(f"{folder.name}/metrics.json holds no figures")
    rows = metrics.get("per_class", {})
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise BundleError(f"{folder.name}/metrics.json, field per_class: holds no figures per class")
    if not isinstance(metrics.get("champion"), dict | None):
        raise BundleError(f"{folder.name}/metrics.json, field champion: holds no figures")
    return metrics


def read_statistics(folder: Path) -> Likeness | None:
    """statistics.json of a bundle, as far as it serves to tell what is unlike its training clips."""
    try:
        statistics = read_json(folder / "statistics.json")
        return read_likeness(statistics) if isinstance(statistics, dict) else None
    except (OSError, ValueError) as error:
        wrong = f", {error}" if isinstance(error, LikenessError) else f" cannot be read: {error}"
        raise BundleError(f"{folder.name}/statistics.json{wrong}") from error


def read_gate(config: BundleConfig) -> Gate:
    """The gate that the bundle's run was configured with."""
    try:
        return TypeAdapter(Gate).validate_json(json.dumps(config.gate))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{config.id}/config.yaml, field gate: {wrong}") from error


def trained_on(folder: Path) -> set[str]:
    """sha256 of each file that the bundle was trained on."""
    return set((folder / "trained_on.txt").read_text(encoding="utf-8").split())


def load_bundle(folder: Path, device: str = "cpu") -> LoadedBundle:
    """Verify a bundle and load it for serving, in evaluation mode. Raises `BundleError`.

    On a CPU the weights are mapped from sealed memory, which all workers of a service share; a weight that is written
    to becomes this process's own.
    """
    from safetensors import SafetensorError

    from speech.front_end import hear_in_pieces

    entries = _verify(folder, [name for name in FILES if name != WEIGHTS])
    config = read_config(folder)
    if config.id != folder.name:
        raise BundleError(f"{folder.name}/config.yaml, field id: names another bundle, {config.id!r}", "config")
    held = _held(folder, entries[WEIGHTS].get("sha256"))
    try:
        model = build_empty(config.spec())
        model.load_state_dict(_mapped(held), strict=True, assign=True)
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = str(error)[:_LONGEST_REASON]
        raise BundleError(f"{folder.name}/model.safetensors does not fit config.yaml: {reason}", "weights") from error
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not _finite(tensor):
            raise BundleError(f"{folder.name}/model.safetensors: {name} holds values that are not finite", "weights")
    hear_in_pieces(model.encoder)
    metrics, likeness = read_metrics(folder), read_statistics(folder)
    return LoadedBundle(config, model.to(device).eval(), config.how_calibrated(), metrics, folder, likeness)


def _held(folder: Path, digest: object) -> Sealed:
    """The weights' file in memory, checked. Raises `BundleError`."""
    try:
        return sealed(folder / WEIGHTS, str(digest))
    except DigestError as error:
        raise _changed(folder, WEIGHTS) from error


def _mapped(held: Sealed) -> dict[str, torch.Tensor]:
    """The weights by name, in memory that lasts as long as any of them."""
    from safetensors.torch import load_file

    state = load_file(held.path)
    for tensor in state.values():  # held by each, so that other workers find what this one has mapped, and no more
        weakref.finalize(tensor.untyped_storage(), _let_go, held).atexit = False
    return state


def _finite(tensor: torch.Tensor) -> bool:
    """Whether all values are finite, told without a second tensor: `aminmax` passes on what is no number."""
    return not tensor.numel() or all(bool(value.isfinite()) for value in tensor.aminmax())


def _let_go(_: Sealed) -> None:
    """What a finalizer held is gone with it."""


def build_empty(spec: ModelSpec) -> DefectModel:
    """The model of `spec` with weights yet to be loaded; skips the random start, which costs most of a load."""
    from transformers.initialization import no_init_weights

    from speech.model import DefectModel

    with no_init_weights():
        return DefectModel(spec)
