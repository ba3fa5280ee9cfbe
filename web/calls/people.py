"""Who spoke and when: by a table that came along, else by what a file's name says."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from web.language import LANGUAGES, text

MOST_ROWS = 100_000
_COLUMNS = ("file", "operator", "day")
_DAY = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(\d\d)\2(\d\d)(?!\d)|(?<!\d)(\d\d)([-_.])(\d\d)\6(20\d\d)(?!\d)")
_FORMS = ("%Y-%m-%d", "%d.%m.%Y", "%Y.%m.%d", "%d/%m/%Y", "%Y%m%d")
_WORD = re.compile(r"[^\W\d_]{2,}")


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
    """File to who, from a CSV with the columns file, operator and day, named in any of our languages; operator or day
    may lack. Raises `TableError` with the line."""
    lines = _decoded(data)
    head = lines.partition("\n")[0]
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        columns = _columns(next(reader, []))
        found: dict[str, Who] = {}
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(found) >= MOST_ROWS:
                raise TableError("table_too_long", most=MOST_ROWS)
            name, who = _row(row, columns, reader.line_num)
            found[name] = who
    except csv.Error as error:
        raise TableError("table_row", line=reader.line_num) from error
    return found


def whose(files: Iterable[str], table: Mapping[str, Who]) -> dict[str, Who]:
    """File to who. The table comes first: by a file's whole name, or its last part where that is the only such one."""
    files = list(files)
    lasts: dict[str, int] = {}
    for name in set(files):
        lasts[_last(name)] = lasts.get(_last(name), 0) + 1
    folder = _shared_folder(files)
    found: dict[str, Who] = {}
    for name in files:
        said = table.get(name) or (table.get(_last(name)) if lasts[_last(name)] == 1 else None) or Who()
        guessed = who_of(name[len(folder) :])
        found[name] = Who(said.operator or guessed.operator, said.day or guessed.day)
    return found


def who_of(name: str) -> Who:
    """What a file's name says: the last folder that is no date, else the word right before a date, is the operator.

    `anna/2026-11-03 17.mp3` and `anna_20261103_17.wav` are both Anna's.
    """
    *folders, last = name.split("/")
    day = next((found for part in (last, *reversed(folders)) if (found := _day_in(part))), None)
    operator = next((part.strip() for part in reversed(folders) if not _day_in(part)), "")
    dated = _DAY.search(last)
    if not operator and dated:
        before = last[: dated.start()].strip(" _-.")
        operator = before if _WORD.search(before) else ""
    return Who(operator, day)


def _day_in(part: str) -> date | None:
    for found in _DAY.finditer(part):
        year, _, month, day, early, _, middle, late = found.groups()
        try:
            return date(int(year), int(month), int(day)) if year else date(int(late), int(middle), int(early))
        except ValueError:
            continue
    return None


def _shared_folder(files: list[str]) -> str:
    """The folder that all files are in, with its slash: it tells them not apart."""
    folders = {name.rpartition("/")[0].partition("/")[0] for name in files}
    shared = folders.pop() if len(folders) == 1 else ""
    return f"{shared}/" if shared else ""


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _decoded(data: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1251"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TableError("table_encoding")


def _columns(head: list[str]) -> dict[str, int]:
    """Where each column is."""
    names = [cell.strip().casefold() for cell in head]
    found = {}
    for column in _COLUMNS:
        wanted = {column, *(text(f"column_{column}", language).casefold() for language in LANGUAGES)}
        at = next((at for at, name in enumerate(names) if name in wanted), None)
        if at is not None:
            found[column] = at
    if "file" not in found or len(found) < 2:
        raise TableError("table_columns")
    return found


def _row(row: list[str], columns: dict[str, int], line: int) -> tuple[str, Who]:
    cells = {column: row[at].strip() if at < len(row) else "" for column, at in columns.items()}
    if not cells["file"]:
        raise TableError("table_row", line=line)
    return cells["file"].replace("\\", "/"), Who(cells.get("operator", "")[:200], _read_day(cells.get("day", ""), line))


def _read_day(cell: str, line: int) -> date | None:
    for form in _FORMS if cell else ():
        try:
            return datetime.strptime(cell, form).date()
        except ValueError:
            continue
    if cell:
        raise TableError("table_day", line=line, cell=cell[:40])
    return None
