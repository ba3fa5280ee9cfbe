"""A table as read, whatever file it came in."""

from __future__ import annotations

from dataclasses import dataclass


class ContentError(ValueError):
    """A file cannot be read as a table; the message says where it breaks and what to do.

    `code` is one word for machines; `row` is the record where it breaks, as a spreadsheet counts.
    """

    def __init__(self, code: str, message: str, row: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.row = row


@dataclass(frozen=True)
class Record:
    """One record: its `number` in a spreadsheet, whose first row is 1; `cells`, or `error` where it is malformed."""

    number: int
    cells: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True)
class Content:
    """A table: how it was read, its header and the records below it, blank ones left out; remarks for people.

    `encoding` is `xlsx` and `delimiter` None where it is a workbook.
    """

    encoding: str
    delimiter: str | None
    header: tuple[str, ...]
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
