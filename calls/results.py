"""What became of an archive's files, in order: JSON lines with everything, and rows for tables.

Nothing in it depends on when or by whom a file was judged, so that two archives of the same files under the same bundle
give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from calls.store import Store

Cell = str | float | int | bool | None

_PAGE = 100  # files that are in memory at once
_WINDOWS = ("file", "side", "start", "end", "label", "text")
_FILES = (
    "file", "state", "code", "detail", "bundle", "side", "label",
    "seconds", "speech_seconds", "speech_share", "windows", "cut_short", "warnings", "text",
)  # fmt: skip


def lines(store: Store, archive: str) -> Iterator[str]:
    """A JSON object a line for each file that is done, failed or was cancelled; those in work are not there yet."""
    for record in records(store, archive):
        yield json.dumps(record, ensure_ascii=False) + "\n"


def records(store: Store, archive: str) -> Iterator[dict[str, Any]]:
    """The objects of `lines`."""
    last = -1
    while page := store.read(
        "SELECT number, name, state, code, detail, bundle, heard, verdicts FROM items WHERE batch = ? AND number > ? "
        "AND state NOT IN ('waiting', 'running') ORDER BY number LIMIT ?",
        (archive, last, _PAGE),
    ):
        for item in page:
            last = item["number"]
            record: dict[str, Any] = {"file": item["name"], "state": item["state"]}
            if item["state"] == "failed":
                record |= {"code": item["code"], "detail": item["detail"]}
            elif item["state"] == "done":
                windows = store.read(
                    "SELECT judged FROM windows WHERE batch = ? AND number = ? ORDER BY side, place", (archive, last)
                )
                record |= {"bundle": item["bundle"]} | json.loads(item["heard"])
                record["verdicts"] = json.loads(item["verdicts"])
                record["windows"] = [json.loads(text) for (text,) in windows]
            yield record


class FileRows:
    """A row for each judged channel of each file; columns are in `header`."""

    def __init__(self, store: Store, archive: str) -> None:
        self._store = store
        self._archive = archive
        self._classes = _classes(store, archive)
        words = [f"verdict_{name}" for name in self._classes if name != "none"]
        self.header = (*_FILES, *words, *(f"p_{name}" for name in self._classes))

    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        for record in records(self._store, self._archive):
            for verdict in record.get("verdicts") or [None]:
                yield self._row(record, verdict)

    def _row(self, record: dict[str, Any], verdict: dict[str, Any] | None) -> tuple[Cell, ...]:
        known = {name: record.get(name) for name in ("file", "state", "code", "detail", "bundle")}
        if verdict is not None:
            known |= {name: verdict.get(name) for name in _FILES if name in verdict}
            known["label"] = _joined(verdict["labels"])
            known["warnings"] = _joined([one["code"] for one in verdict.get("warnings", ())])
            known["text"] = _text(window for window in record["windows"] if window["side"] == verdict["side"])
            known |= {f"verdict_{name}": word for name, word in verdict["words"].items()}
            known |= {
                f"p_{name}": value for name, value in zip(verdict["classes"], verdict["probabilities"], strict=True)
            }
        return tuple(known.get(name) for name in self.header)


class WindowRows:
    """A row for each window of each file that is done."""

    def __init__(self, store: Store, archive: str) -> None:
        self._store = store
        self._archive = archive
        self._classes = _classes(store, archive)
        self.header = (*_WINDOWS, *(f"p_{name}" for name in self._classes))

    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        for record in records(self._store, self._archive):
            for window in record.get("windows") or ():
                known = {name: window.get(name) for name in _WINDOWS}
                known |= {"file": record["file"], "label": _joined(window["labels"]), "text": _text([window])}
                known |= {
                    f"p_{name}": value for name, value in zip(window["classes"], window["probabilities"], strict=True)
                }
                yield tuple(known.get(name) for name in self.header)


def _joined(labels: list[str]) -> str:
    return " ".join(labels)


def _text(windows: Iterable[dict[str, Any]]) -> str | None:
    """The words heard, None where none were to be kept."""
    heard = [window["transcript"] for window in windows if window.get("transcript") is not None]
    return _joined([word["text"] for words in heard for word in words]) if heard else None


def _classes(store: Store, archive: str) -> list[str]:
    """All classes of the bundles that judged the archive, in the order in which they first come."""
    bundles = store.read(
        "SELECT verdicts FROM items WHERE batch = ? AND state = 'done' GROUP BY bundle ORDER BY min(number)", (archive,)
    )
    found: dict[str, None] = {}
    for (text,) in bundles:
        for verdict in json.loads(text):
            found |= dict.fromkeys(verdict["classes"])
    return list(found)
