"""Local folders of recordings with a table a split: Common Voice's `train.tsv`, NeMo's `train_manifest.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.recognition.recordings import AUDIO_COLUMNS, TEXT_COLUMNS
from tabular.tables import parse

_TABLES = (".tsv", ".csv", ".xlsx")
_KINDS = (*_TABLES, ".json", ".jsonl")
_DEEPEST = 3  # folders below the dataset's own: cv-corpus-17.0/ru/train.tsv
_MOST_BYTES = 1 << 30


def read_local_table(folder: Path, split: str) -> list[dict[str, Any]] | None:
    """The rows of the one table in `folder` that is called after the split and names recordings and texts.

    None where there is none, or several: then the folder is of another layout.
    """
    word = re.compile(rf"(?:.*[^a-z0-9])?{re.escape(split.casefold())}(?:[^a-z0-9].*)?")
    found = []
    for path in sorted(folder.rglob("*")):
        depth = len(path.relative_to(folder).parts) - 1
        if depth > _DEEPEST or path.suffix.casefold() not in _KINDS or not word.fullmatch(path.stem.casefold()):
            continue
        if path.is_file() and path.stat().st_size <= _MOST_BYTES and (rows := _rows(path)):
            found.append(rows)
    return found[0] if len(found) == 1 else None


def _rows(path: Path) -> list[dict[str, Any]]:
    """None of them where the file is no such table."""
    data = path.read_bytes()
    try:
        rows = _table(data) if path.suffix.casefold() in _TABLES else _records(data)
    except ValueError:
        return []
    names = set().union(*(row.keys() for row in rows[:1]))
    return rows if names.intersection(AUDIO_COLUMNS) and names.intersection(TEXT_COLUMNS) else []


def _table(data: bytes) -> list[dict[str, Any]]:
    def recognised(header: Sequence[str]) -> int:
        return sum(cell.strip() in {*AUDIO_COLUMNS, *TEXT_COLUMNS} for cell in header)

    content = parse(data, recognised)
    header = [cell.strip() for cell in content.header]
    return [dict(zip(header, record.cells, strict=False)) for record in content.records if record.error is None]


def _records(data: bytes) -> list[dict[str, Any]]:
    """JSON objects, one a line or in one list. Raises ValueError."""
    text = data.decode("utf-8-sig").strip()
    values = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines() if line]
    if not all(isinstance(value, dict) for value in values):
        raise ValueError("not records")
    return list(values)
