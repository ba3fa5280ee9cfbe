"""What goes from the disk, and when: uploads with an archive's end, all of an archive when it is deleted or too old."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from calls.holders import is_held
from calls.store import Store
from calls.temporary import HOLDERS, remove_dead

log = logging.getLogger("vnyatno.calls")

LOCK = "lock"
"""Held in an archive's folder while the archive is taken in."""
_DAY = 86_400.0
_NEW_SECONDS = 60.0  # a folder so young may be about to get its lock


def delete(store: Store, archive: str) -> None:
    """Remove the archive with all that is known of it. Does nothing where there is none. Raises sqlite3.Error."""
    store.cancel(archive)
    store.forget(archive)
    store.wipe()
    shutil.rmtree(store.folder_of(archive), ignore_errors=True)  # what stays, the next sweep finds


def remove_uploads(store: Store, archive: str) -> None:
    """Remove the recordings of an archive that has ended: nothing needs them any more."""
    folder, state = store.folder_of(archive), store.state(archive)
    if state is None:
        shutil.rmtree(folder, ignore_errors=True)
    elif state != "running":
        for path in folder.glob("*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)


def sweep(store: Store, days: float | None) -> None:
    """Delete archives that ended more than `days` ago (None: none), and what broken intakes, deletions and killed
    processes left."""
    if days is not None:
        old = store.read("SELECT id FROM batches WHERE finished < ?", (time.time() - days * _DAY,))
        for (archive,) in old:
            log.info("batch %s ended more than %g days ago and is deleted", archive, days)
            delete(store, archive)
    known = dict(map(tuple, store.read("SELECT id, state FROM batches")))
    for folder in store.folder.iterdir():
        if not folder.is_dir() or folder.name == HOLDERS:
            continue
        if folder.name in known:
            if known[folder.name] != "running":
                remove_uploads(store, folder.name)
        elif not _taken_in(folder) and store.archive(folder.name) is None:
            shutil.rmtree(folder, ignore_errors=True)
    for file in (store.folder / HOLDERS).glob("[!.]*"):
        if not is_held(file) and not store.read("SELECT 1 FROM items WHERE holder = ? LIMIT 1", (file.name,)):
            file.unlink(missing_ok=True)
    remove_dead(store.folder)
    store.wipe()


def _taken_in(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime < _NEW_SECONDS or is_held(folder / LOCK)
    except FileNotFoundError:
        return False
