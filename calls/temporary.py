"""Where a process keeps files while it works: a folder of its own, which later ones remove if it was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from calls.holders import is_held

HOLDERS = "holders"
TEMPORARY = Path(HOLDERS, ".work")


def temporary_folder(store: Path, holder: str) -> Path:
    """The folder of the process that goes by `holder` and holds its lock; made if need be."""
    folder = store / TEMPORARY / holder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def remove_temporary(store: Path, holder: str) -> None:
    """Remove what a process kept; nothing where it kept nothing."""
    shutil.rmtree(store / TEMPORARY / holder, ignore_errors=True)


def remove_dead(store: Path) -> None:
    """Remove what processes kept that have died."""
    for folder in (store / TEMPORARY).glob("*"):
        if not is_held(store / HOLDERS / folder.name):
            shutil.rmtree(folder, ignore_errors=True)
