"""The data folder is one launcher's at a time. The launcher says in it what it runs."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from speech.home import Home


class StackError(RuntimeError):
    """The processes cannot be started or kept going; the message says what stands in the way and what to do."""


def require_writable(home: Home) -> None:
    """Raise `StackError` unless files can be made in the data folder; makes the folder if need be."""
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home.root):
            pass
    except OSError as error:
        raise StackError(
            f"the data folder {home.root} cannot be written ({error.strerror}); let user {os.getuid()} write there, "
            "or set VNYATNO_HOME to another folder"
        ) from error


def take(home: Home) -> FileLock:
    """The lock of the data folder, held. Raises `StackError` while another launcher holds it."""
    lock = FileLock(home.root / "launcher.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StackError(
            f"Vnyatno runs already on the data folder {home.root}{_owner(home)}; "
            "stop it, or set VNYATNO_HOME to another folder"
        ) from error
    return lock


def _owner(home: Home) -> str:
    try:
        return f" (process {json.loads(state_file(home).read_text())['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the lock alone decides; the file is a courtesy


def state_file(home: Home) -> Path:
    """Where the launcher says what runs; deploy/run/health.py reads it."""
    return home.root / "launcher.json"
