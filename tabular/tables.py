"""A table of whatever kind: a workbook or delimited text, told by its head and not by its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tabular.content import Content
from tabular.delimited import parse as parse_delimited
from tabular.package import begins_workbook


def parse(data: bytes, recognised: Callable[[Sequence[str]], int], called: Collection[str] = ()) -> Content:
    """Read a table.

    `recognised` says how many cells of a would-be header are known column names; of several sheets the one that is
    `called` so is read, or else the first that has such columns. Raises `ContentError`.
    """
    if begins_workbook(data):
        from tabular.workbook import parse_workbook  # openpyxl takes a moment, and most tables are text

        return parse_workbook(data, recognised, called)
    return parse_delimited(data, recognised)
