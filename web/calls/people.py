"""Who spoke and when: by a table that came along, else by what a file's name says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from tabular.content import ContentError
from tabular.letters import visible
from tabular.recordings import MatchError, RecordingNames
from tabular.spreadsheets import UNCALCULATED, fault_of
from tabular.tables import parse
from web.calls.dates import before_day, day_in, read_day
from web.language import LANGUAGES, text

MOST_ROWS = 100_000
TABLE_TYPES = ("csv", "tsv", "txt", "xlsx", "xlsm")
"""Extensions of files that `read_table` is given."""
_COLUMNS = ("file", "operator", "day")
_WORD = re.compile(r"[^\W\d_]{2,}")
_KEYS = {
    "spreadsheet": "table_workbook",
    "password": "table_password",
    "broken": "table_broken",
    "unsafe": "table_unsafe",
    "encoding": "table_encoding",
    "quotes": "table_row",
}
_LONGEST = 200  # characters of an operator's name


@dataclass(frozen=True)
class Who:
    """`operator` is empty and `day` None where nothing says so."""

    operator: str = ""
    day: date | None = None


class TableError(ValueError):
    """A table cannot be used; `key` and `values` are for `web.language.text`."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(f"{key} {values}")
        self.key = key
        self.values = values

    def message(self, language: str) -> str:
        """What people are told."""
        return text(self.key, language, **self.values)


def read_table(data: bytes) -> dict[str, Who]:
    """File to who, from a table with the columns file, operator and day, by any of their names; operator or day may
    lack. Kind, encoding, delimiter and damage are training's business too (`tabular.tables`). Raises `TableError`."""
    known = {_normal(name): column for column in _COLUMNS for name in _names(column)}
    try:
        content = parse(data, lambda header: sum(_normal(cell) in known for cell in header))
    except ContentError as error:
        key = _KEYS.get(error.code, "table_columns")
        raise TableError(key, **({"line": error.row} if key == "table_row" else {})) from error
    columns: dict[str, int] = {}
    for at, cell in enumerate(content.header):
        if _normal(cell) in known:
            columns.setdefault(known[_normal(cell)], at)
    if "file" not in columns or len(columns) < 2:
        guessed = not columns and content.delimiter is not None and not content.encoding.startswith("utf")
        raise TableError("table_encoding" if guessed else "table_columns")
    if len(content.records) > MOST_ROWS:
        raise TableError("table_too_long", most=MOST_ROWS)
    found: dict[str, Who] = {}
    for record in content.records:
        if record.error is not None:
            raise TableError("table_row", line=record.number)
        name, who = _row(record.cells, columns, record.number)
        found[name] = who
    return found


def whose(files: Iterable[str], table: Mapping[str, Who]) -> dict[str, Who]:
    """File to who. The table comes first: its names mean files as those of training's table do
    (`tabular.recordings`)."""
    files = list(dict.fromkeys(files))
    said, _ = _matched(files, table)
    folder = _shared_folder(files)
    found: dict[str, Who] = {}
    for name in files:
        told, guessed = said.get(name, Who()), who_of(name[len(folder) :])
        found[name] = Who(told.operator or guessed.operator, told.day or guessed.day)
    return found


def unmatched(files: Iterable[str], table: Mapping[str, Who]) -> list[str]:
    """Names in the table that mean no file, or no single one."""
    return _matched(list(dict.fromkeys(files)), table)[1]


def _matched(files: list[str], table: Mapping[str, Who]) -> tuple[dict[str, Who], list[str]]:
    """File to what the table says of it; names of the table that mean no file. A whole name goes before an end."""
    said: dict[str, Who] = {}
    lost: list[str] = []
    whole = set(files)
    others = [name for name in table if name not in whole]
    index = RecordingNames(files if others else ())
    for name in others:
        try:
            said[index.find(name).path] = table[name]
        except MatchError:
            lost.append(name)
    return said | {name: table[name] for name in files if name in table}, lost


def who_of(name: str) -> Who:
    """What a file's name says: the last folder that is no date, else the word right before a date, is the operator.

    `anna/2026-11-03 17.mp3` and `anna_20261103_17.wav` are both Anna's.
    """
    *folders, last = name.split("/")
    day = next((found for part in (last, *reversed(folders)) if (found := day_in(part))), None)
    operator = next((part.strip() for part in reversed(folders) if not day_in(part)), "")
    before = (before_day(last) or "").strip(" _-.")
    if not operator and _WORD.search(before):
        operator = before
    return Who(operator, day)


def _shared_folder(files: list[str]) -> str:
    """The folder that all files are in, with its slash: it tells them not apart."""
    folders = {name.rpartition("/")[0].partition("/")[0] for name in files}
    shared = folders.pop() if len(folders) == 1 else ""
    return f"{shared}/" if shared else ""


def _names(column: str) -> list[str]:
    """What the catalogues call a column, and what else people do."""
    said = (text(key, language) for language in LANGUAGES for key in (f"column_{column}", f"table_names_{column}"))
    return [column, *(name for names in said for name in names.split(", "))]


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(visible(name).split())).casefold()


def _row(row: tuple[str, ...], columns: Mapping[str, int], line: int) -> tuple[str, Who]:
    cells = {column: visible(row[at]).strip() if at < len(row) else "" for column, at in columns.items()}
    if not cells["file"]:
        raise TableError("table_row", line=line)
    if UNCALCULATED in cells.values():
        raise TableError("table_formula", line=line)
    said = cells.get("operator", "")
    operator = "" if fault_of(said) else unicodedata.normalize("NFC", said)[:_LONGEST]
    return cells["file"].replace("\\", "/"), Who(operator, _day(cells.get("day", ""), line))


def _day(cell: str, line: int) -> date | None:
    try:
        return read_day(cell) if cell else None
    except ValueError as error:
        raise TableError("table_day", line=line, cell=cell[:40]) from error
