"""The pointer: the one small file that names the bundle in service. Only publishing and rollback write it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from filelock import FileLock

from speech.bundle import BundleError, check_id, read_config, read_gate, read_metrics, verify
from speech.files import write_atomically
from speech.gate import Condition, require
from speech.home import Home

_LOCK_SECONDS = 30.0  # a publication takes far less; longer means that another one hangs


class PointerError(ValueError):
    """The pointer cannot be read; the message names the file."""


@dataclass(frozen=True)
class Pointer:
    """Which bundle serves, which served before it, and when that was decided (UTC, ISO 8601)."""

    current: str
    previous: str | None = None
    published: str = ""


def pointer_file(home: Home, recipe: str = "defects") -> Path:
    """Where a recipe's pointer stands."""
    return home.serving / f"{recipe}.yaml"


def read_pointer(home: Home, recipe: str = "defects") -> Pointer | None:
    """The pointer, or None where nothing was published yet. Raises `PointerError`."""
    path = pointer_file(home, recipe)
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PointerError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict) or not set(value) <= {"current", "previous", "published"}:
        raise PointerError(f"{path} holds no pointer (current, previous, published)")
    try:
        check_id(str(value["current"]))
        previous = value.get("previous")
        return Pointer(
            str(value["current"]),
            None if previous is None else check_id(str(previous)),
            str(value.get("published", "")),
        )
    except KeyError as error:
        raise PointerError(f"{path} names no current bundle") from error
    except BundleError as error:
        raise PointerError(f"{path}: {error}") from error


def publish(home: Home, bundle_id: str) -> list[Condition]:
    """Put a bundle into service after checking its files and, from its own figures, the gate.

    Publishing the bundle in service changes nothing. Raises `BundleError` or `speech.gate.GateRefused`; then the
    pointer is untouched. Returns the gate's conditions.
    """
    folder = home.bundles / check_id(bundle_id)
    verify(folder)
    config = read_config(folder)
    if config.id != bundle_id:
        raise BundleError(f"{bundle_id}/config.yaml, field id: names another bundle, {config.id!r}")
    conditions = require(read_gate(config), read_metrics(folder))
    path = pointer_file(home, config.recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
        before = _readable_pointer(home, config.recipe)
        if before is None or before.current != bundle_id:
            _write(path, Pointer(bundle_id, before.current if before else None, datetime.now(UTC).isoformat()))
    return conditions


def _readable_pointer(home: Home, recipe: str) -> Pointer | None:
    """A broken pointer must not keep a good bundle from service: it is replaced, its history is lost."""
    try:
        return read_pointer(home, recipe)
    except PointerError:
        return None


def _write(path: Path, pointer: Pointer) -> None:
    write_atomically(path, yaml.safe_dump(asdict(pointer), sort_keys=False))
