"""The pointer: the one small file that names the bundle in service. Only publishing and rollback write it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from speech.bundles.defects import (
    AnyConfig,
    BundleError,
    check_id,
    other_recipe,
    read_config,
    read_gate,
    read_metrics,
    verify,
)
from speech.bundles.gate import Condition, require
from speech.files import write_atomically
from speech.home import Home
from speech.serving.history import Action, Change, append, read_history

log = logging.getLogger("vnyatno.publishing")

_LOCK_SECONDS = 30.0  # a publication takes far less; longer means that another one hangs


class PointerError(ValueError):
    """The pointer cannot be read or moved; the message names the file or the bundle."""


class NoPreviousError(PointerError):
    """There is nothing to go back to."""


class PointerWriteError(PointerError):
    """The pointer cannot be written: a full disk, or a folder that may only be read."""


class PointerMovedError(PointerError):
    """Somebody else moved the pointer meanwhile, or holds it."""


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


def publish(home: Home, bundle_id: str, by: str = "") -> list[Condition]:
    """Put a bundle into service after checking its files and, from its own figures, the gate.

    Publishing the bundle in service changes nothing. `by` says in the history who or what publishes. Raises
    `BundleError`, `speech.bundles.gate.GateRefused`, `PointerMovedError` or `PointerWriteError`; then the pointer is
    untouched. Returns the gate's conditions."""
    config, conditions = _admit(home, bundle_id)
    with _locked(home, config.recipe):
        before = _readable_pointer(home, config.recipe)
        if before is None or before.current != bundle_id:
            _move(home, config.recipe, before, bundle_id, "published", by)
    return conditions


def rollback(home: Home, recipe: str = "defects", by: str = "") -> Pointer:
    """Put the bundle that served before into service again, after the same checks as `publish`.

    What served becomes `previous`, so that a second rollback returns. The bundle that is checked is the one that comes
    into service: where the pointer moves meanwhile, this fails, and of two rollbacks at the same moment the second does
    not undo the first. `by` says in the history who or what rolls back. Returns the new pointer. Raises
    `NoPreviousError`, `PointerMovedError`, `PointerWriteError`, `PointerError` for a broken pointer, and `BundleError`
    or `speech.bundles.gate.GateRefused` where the bundle is gone, broken or refused; then the pointer is untouched.
    """
    seen = read_pointer(home, recipe)
    if seen is None:
        raise NoPreviousError(f"nothing is in service yet ({pointer_file(home, recipe)} does not exist)")
    if seen.previous in (None, seen.current):
        raise NoPreviousError(f"no bundle served before {seen.current}, so there is none to go back to")
    assert seen.previous is not None
    config, _ = _admit(home, seen.previous)
    if config.recipe != recipe:
        raise other_recipe(config, recipe)
    with _locked(home, recipe):
        if read_pointer(home, recipe) != seen:
            raise PointerMovedError(f"{seen.current} no longer serves; look again which bundle does")
        return _move(home, recipe, seen, seen.previous, "rolled_back", by)


def _admit(home: Home, bundle_id: str) -> tuple[AnyConfig, list[Condition]]:
    """The one door into service: every file as the manifest has it, and the gate passed."""
    folder = home.bundles / check_id(bundle_id)
    verify(folder)
    config = read_config(folder)
    if config.id != bundle_id:
        raise BundleError(f"{bundle_id}/config.yaml, field id: names another bundle, {config.id!r}")
    return config, require(read_gate(config), read_metrics(folder))


@contextmanager
def _locked(home: Home, recipe: str) -> Iterator[None]:
    path = pointer_file(home, recipe).with_suffix(".lock")
    lock = FileLock(path, timeout=_LOCK_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise PointerMovedError(f"another process has held {path} for {_LOCK_SECONDS:g} s; try again soon") from error
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _move(home: Home, recipe: str, before: Pointer | None, to: str, action: Action, by: str) -> Pointer:
    """Write the pointer, and the change into the history. Call it under the lock."""
    came_from = before.current if before else None
    pointer = Pointer(to, came_from, datetime.now(UTC).isoformat())
    if before is not None:
        _make_up(home, recipe, before)
    path = pointer_file(home, recipe)
    try:
        write_atomically(path, yaml.safe_dump(asdict(pointer), sort_keys=False))
    except OSError as error:
        raise _unwritten(path, error) from error
    _note(home, recipe, Change(pointer.published, action, came_from, to, by))
    return pointer


def _unwritten(path: Path, error: OSError) -> PointerWriteError:
    remedy = "free disk space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see that it can be written"
    return PointerWriteError(
        f"{path} cannot be written ({error.strerror}), so what serves stays as it is; {remedy} and publish again"
    )


def _make_up(home: Home, recipe: str, pointer: Pointer) -> None:
    """Note how the pointer stands, if whoever wrote it could not."""
    last = read_history(home, recipe)[-1:]
    if [(change.after, change.at) for change in last] != [(pointer.current, pointer.published)]:
        _note(home, recipe, Change(pointer.published, "found", pointer.previous, pointer.current))


def _note(home: Home, recipe: str, change: Change) -> None:
    try:
        append(home, recipe, change)
    except OSError as error:  # what serves is decided by then, and a full disk must not say otherwise
        log.warning("the history lacks a change, %s to %s: %s", change.before, change.after, error)


def _readable_pointer(home: Home, recipe: str) -> Pointer | None:
    """A broken pointer must not keep a good bundle from service: it is replaced, its history is lost."""
    try:
        return read_pointer(home, recipe)
    except PointerError:
        return None
