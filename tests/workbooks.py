"""Workbooks as people send them, written by openpyxl, and hostile ones made of their parts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openpyxl import Workbook

Rows = Sequence[Sequence[Any]]


def workbook(*sheets: Rows, change: Callable[[Workbook], None] | None = None, titles: Sequence[str] = ()) -> bytes:
    """A workbook whose sheets hold these rows, called `titles` or Sheet1, Sheet2, …; `change` may do more to it."""
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(titles[number] if titles else f"Sheet{number + 1}")
        for row in rows:
            sheet.append(list(row))
    if change is not None:
        change(book)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def with_parts(book: bytes, parts: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A workbook with other bytes in some of its parts, or with further parts."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(made, "w", method) as new:
        for name in old.namelist():
            if name not in parts:
                new.writestr(name, old.read(name))
        for name, content in parts.items():
            new.writestr(name, content)
    return made.getvalue()


def part(book: bytes, name: str) -> bytes:
    """A part's bytes."""
    with zipfile.ZipFile(io.BytesIO(book)) as zipped:
        return zipped.read(name)


SHEET = "xl/worksheets/sheet1.xml"


def protected(name: str = "EncryptedPackage") -> bytes:
    """The beginning of a compound file with one entry of its directory; Office keeps protected workbooks in such."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1016 + name.encode("utf-16-le") + b"\0" * 480


def packed(names: Sequence[str]) -> bytes:
    """A zip with files of these names, each of which says `x`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for name in names:
            zipped.writestr(name, "x")
    return made.getvalue()
