"""What was in service when: one JSON line per publication and rollback, beside the pointer.

The pointer alone decides what serves; this file only tells how it came about. A process killed while it writes leaves
half a line, which readers pass over, or none, which the next change of the pointer makes up for (`found`).
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from speech.files import sync_folder, write_atomically
from speech.home import Home

log = logging.getLogger("vnyatno.publishing")

# found: so the pointer stood, written by hand, by an older version, or by a process killed before it could note it.
Action = Literal["published", "rolled_back", "found"]
MOST_BYTES = 256 << 10  # of the file, about a thousand changes; beyond, the older half is dropped
_LONGEST_BY = 200  # characters


@dataclass(frozen=True)
class Change:
    """The pointer moved: when (UTC, ISO 8601), how, from which bundle (None: the first) to which, and by what."""

    at: str
    action: Action
    before: str | None
    after: str
    by: str = ""


def history_file(home: Home, recipe: str = "defects") -> Path:
    """Where a recipe's history stands."""
    return home.serving / f"{recipe}.history.jsonl"


def read_history(home: Home, recipe: str = "defects") -> list[Change]:
    """The changes, oldest first; lines that hold none are passed over. Empty where the file cannot be read."""
    path = history_file(home, recipe)
    try:
        lines = _newest(path, MOST_BYTES).splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("%s cannot be read, what served before is not known: %s", path, error)
        return []
    return [change for line in lines if (change := _parse(line)) is not None]


def append(home: Home, recipe: str, change: Change) -> None:
    """Add a change and flush it to disk; whoever calls holds the pointer's lock. Raises OSError."""
    path = history_file(home, recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        start = file.seek(0, os.SEEK_END)
        file.seek(max(0, start - 1))
        torn = start > 0 and file.read(1) != b"\n"
        # Half a line stays as it is; what is new must not become its end.
        file.write((b"\n" if torn else b"") + _line(change))
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    if start == 0:
        sync_folder(path.parent)
    if size > MOST_BYTES:
        kept = _newest(path, MOST_BYTES // 2)
        write_atomically(path, kept[kept.index(b"\n") + 1 :])  # the first line is cut somewhere


def _newest(path: Path, most: int) -> bytes:
    """The last `most` bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most)


def _line(change: Change) -> bytes:
    value = {
        "when": change.at,
        "what": change.action,
        "from": change.before,
        "to": change.after,
        "by": change.by[:_LONGEST_BY],
    }
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _parse(line: bytes) -> Change | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    before, texts = value.get("from"), [value.get(name) for name in ("when", "what", "to", "by")]
    if not all(isinstance(text, str) for text in texts) or not isinstance(before, str | None):
        return None
    if value["what"] not in get_args(Action):
        return None
    return Change(value["when"], value["what"], before, value["to"], value["by"])
