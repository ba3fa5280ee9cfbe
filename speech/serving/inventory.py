"""All bundles of a data folder: their state, their scores, and their relation to the bundle in service."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from speech.bundles.defects import AnyConfig, BundleError, check_id, check_sizes, read_config, read_gate, read_metrics
from speech.bundles.files import RECOGNISER
from speech.bundles.gate import check, failed
from speech.files import Fingerprint, fingerprint
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import Pointer, PointerError, read_pointer

# refused_by_gate: publishing would be refused; published_before: it served, and could again; ready: it never did.
State = Literal["in_service", "previous", "published_before", "ready", "refused_by_gate", "broken"]


@dataclass(frozen=True)
class Scores:
    """Figures on the test split, None where the evaluation gave none. F1 and errors run from 0 to 1."""

    macro_f1: float | None = None
    majority_macro_f1: float | None = None  # of always answering the most frequent class
    class_f1: Mapping[str, float | None] = field(default_factory=dict)
    calibration_error: float | None = None  # None, too, where classes are not exclusive: each defect has its own
    marker_error: float | None = None  # mean absolute error of counting marker letters, in letters a clip
    test_clips: int | None = None
    test_speakers: int | None = None
    wer: float | None = None  # of a recogniser: words substituted, inserted and deleted, of those spoken
    cer: float | None = None  # the same of characters


@dataclass(frozen=True)
class Listed:
    """One bundle. `reasons`: why it is broken or refused, or what the gate's override lets pass; `bytes` on disk.

    Of a broken bundle nothing is known but its id, reasons and size. `created` is UTC, ISO 8601.
    """

    id: str
    state: State
    reasons: tuple[str, ...] = ()
    recipe: str | None = None
    created: str | None = None
    age_seconds: float | None = None
    scores: Scores = Scores()
    gate_override: str | None = None
    lineage: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0


@dataclass(frozen=True)
class Inventory:
    """The bundles, newest first, and the pointer by which they stand; `pointer_error` where it cannot be read."""

    bundles: list[Listed]
    pointer: Pointer | None
    pointer_error: str | None = None


@dataclass(frozen=True)
class _Contents:
    """What a bundle's folder holds, as far as it was read; without a config it is broken."""

    config: AnyConfig | None
    scores: Scores
    reasons: tuple[str, ...]  # why it is broken, or the gate's conditions that failed


def inventory(home: Home, recipe: str = "defects", now: datetime | None = None) -> Inventory:
    """List every bundle of a recipe in the data folder, with its state by the recipe's pointer and history.

    Names, sizes, config.yaml and metrics.json are read, but no weights: a bundle that is listed as ready may yet be
    refused when it is published. A bundle that the pointer names and that is gone is listed as broken. Where a bundle's
    recipe cannot be read, the begin of its id tells it, and else it is taken for one of the defects.
    """
    pointer, pointer_error = None, None
    try:
        pointer = read_pointer(home, recipe)
    except PointerError as error:
        pointer_error = str(error)
    served = {name for change in read_history(home, recipe) for name in (change.before, change.after)}
    named = {name for name in (pointer.current, pointer.previous) if name} if pointer else set()
    now = now or datetime.now(UTC)
    looked = [_look(home.bundles / name, pointer, served, now) for name in named | _folders(home)]
    found = [one for one in looked if (one[1].recipe or _named_recipe(one[1].id)) == recipe or one[1].id in named]
    found.sort(key=lambda one: (one[0], one[1].id), reverse=True)
    return Inventory([bundle for _, bundle in found], pointer, pointer_error)


def _named_recipe(bundle_id: str) -> str:
    return RECOGNISER if bundle_id.startswith(f"{RECOGNISER}-") else "defects"


def _folders(home: Home) -> set[str]:
    """Names in the bundles' folder; those with a dot in front are being written."""
    try:
        return {path.name for path in home.bundles.iterdir() if path.is_dir() and not path.name.startswith(".")}
    except OSError:
        return set()


def _look(folder: Path, pointer: Pointer | None, served: set[str | None], now: datetime) -> tuple[float, Listed]:
    """A bundle, and when it was made (seconds since 1970), by which it is sorted."""
    files = fingerprint(folder)
    try:
        contents = _read(folder, files)
    except OSError as error:  # not remembered: it may pass without a change of the files
        contents = _Contents(None, Scores(), (f"{folder.name} cannot be read: {error}",))
    size = sum(entry[1] for entry in files or ())
    config = contents.config
    if config is None:
        newest = max((entry[2] for entry in files or ()), default=0)
        return newest / 1e9, Listed(folder.name, "broken", contents.reasons, bytes=size)
    made = _time(config.created)
    return made.timestamp() if made else 0.0, Listed(
        id=folder.name,
        state=_state(folder.name, config, contents, pointer, served),
        reasons=contents.reasons,
        recipe=config.recipe,
        created=config.created,
        age_seconds=max(0.0, (now - made).total_seconds()) if made else None,
        scores=contents.scores,
        gate_override=config.gate.get("override"),
        lineage={name: str(value) for name, value in config.lineage.items()},
        bytes=size,
    )


def _state(
    name: str, config: AnyConfig, contents: _Contents, pointer: Pointer | None, served: set[str | None]
) -> State:
    if pointer and name == pointer.current:
        return "in_service"
    if pointer and name == pointer.previous:
        return "previous"
    if contents.reasons and not config.gate.get("override"):
        return "refused_by_gate"
    return "published_before" if name in served else "ready"


@lru_cache(maxsize=1024)  # parsing a config takes milliseconds, and bundles do not change
def _read(folder: Path, _: Fingerprint) -> _Contents:
    """Raises OSError."""
    try:
        check_id(folder.name)
        check_sizes(folder)
        config, metrics = read_config(folder), read_metrics(folder)
        if config.id != folder.name:
            raise BundleError(f"{folder.name}/config.yaml, field id: names another bundle, {config.id!r}")
        refused = failed(check(read_gate(config), metrics))
    except (BundleError, RecursionError) as error:
        return _Contents(None, Scores(), (str(error) or repr(error),))
    return _Contents(config, _scores(metrics), tuple(refused))


def _scores(metrics: Mapping[str, Any]) -> Scores:
    return Scores(
        macro_f1=_figure(metrics, "macro_f1"),
        majority_macro_f1=_figure(metrics, "majority_macro_f1"),
        class_f1={name: _figure(row, "f1") for name, row in metrics.get("per_class", {}).items()},
        calibration_error=_figure(metrics, "calibration", "test", "after", "ece", "value"),
        marker_error=_figure(metrics, "markers", "mae"),
        test_clips=_whole(_figure(metrics, "clips")),
        test_speakers=_whole(_figure(metrics, "speakers")),
        wer=_figure(metrics, "wer"),
        cer=_figure(metrics, "cer"),
    )


def _figure(value: Any, *path: str) -> float | None:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
