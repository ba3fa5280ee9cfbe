"""Which column of a table plays which role; of several that could, the one that the cells speak for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pipeline.clips.errors import TableError
from pipeline.clips.matching import AudioIndex, MatchError
from pipeline.clips.names import meaning, normal
from tabular.content import Content

SLICE_ROLE = "group"  # sex, age, accent: several columns of that kind are usual, one is used, nothing depends on it

Said = Callable[[str], str | None]
"""What a cell says, in the one form in which equal things are equal; None where it says nothing usable."""


class Columns:
    """The columns of one table. `names` are normalised headers and values to what they mean, by kind."""

    def __init__(
        self,
        table: str,
        content: Content,
        folder: Path,
        names: Mapping[str, Mapping[str, str]],
        columns: Mapping[str, Sequence[str]],
    ) -> None:
        self._table = table
        self._content = content
        self._folder = folder
        self._names = names
        self._columns = columns
        self.notes: list[str] = []

    def places(self, needed: Sequence[str]) -> dict[str, int]:
        """Role to the index of its column. Raises `TableError` where one of the `needed` roles has none, or where
        several columns could play another role than the group's and their cells do not tell which."""
        could: dict[str, list[int]] = {}
        for index, header in enumerate(self._content.header):
            role = self._names["column"].get(normal(header))
            if role is not None:
                could.setdefault(role, []).append(index)
        places = {role: self._chosen(role, indices) for role, indices in could.items()}
        for role in needed:
            if role not in places:
                known = ", ".join(dict.fromkeys((role, *self._columns.get(role, ()))))
                found = ", ".join(repr(header) for header in self._content.header)
                message = (
                    f"{self._table}: no {role} column; its header is {found}; one column must be named one of: {known}"
                )
                raise TableError(message, len(self._content.records))
        return places

    def _chosen(self, role: str, indices: list[int]) -> int:
        if len(indices) == 1 or role == SLICE_ROLE:
            return indices[0]
        filled = [index for index in indices if any(map(str.strip, self._cells(index)))]
        if len(filled) == 1:
            return self._told(role, indices, filled[0], "the other is empty")
        said = {index: list(map(self._said(role), self._cells(index))) for index in filled or indices}
        speaking = [index for index, cells in said.items() if any(cell is not None for cell in cells)]
        if len(speaking) == 1:
            why = "its cells are recordings here" if role == "file" else f"its cells are known as {role}"
            return self._told(role, indices, speaking[0], why)
        if speaking and (row := self._contradiction([said[index] for index in speaking])) is None:
            most = max(speaking, key=lambda index: (sum(cell is not None for cell in said[index]), -self._rank(index)))
            return self._told(role, indices, most, "both say the same")
        both = " and ".join(repr(self._content.header[index]) for index in indices)
        where = "" if not speaking or row is None else f", and row {row} says two things in them"
        raise TableError(
            f"{self._table}: columns {both} both mean {role}{where}; remove one", len(self._content.records)
        )

    def _told(self, role: str, indices: list[int], chosen: int, why: str) -> int:
        both = " and ".join(repr(self._content.header[index]) for index in indices)
        self.notes.append(
            f"{self._table}: columns {both} both mean {role}; {self._content.header[chosen]!r} is used: {why}"
        )
        return chosen

    def _contradiction(self, columns: Sequence[Sequence[str | None]]) -> int | None:
        """The row in which two columns say different things; None where there is none."""
        for record, cells in zip(self._read, zip(*columns, strict=True), strict=True):
            if len({cell for cell in cells if cell is not None}) > 1:
                return record
        return None

    def _said(self, role: str) -> Said:
        if role == "file":
            return self._recording
        if role in ("label", "split"):
            return lambda cell: meaning(cell, self._names[role])
        if role == "speaker":  # a number and a name of the same people are the same
            people: dict[str, str] = {}
            return lambda cell: people.setdefault(normal(cell), str(len(people))) if normal(cell) else None
        return lambda cell: "".join(filter(str.isalnum, normal(cell))) or None

    def _recording(self, cell: str) -> str | None:
        try:
            return self._audio.find(cell).path
        except MatchError:
            return None

    @cached_property
    def _audio(self) -> AudioIndex:
        return AudioIndex(self._folder)

    @cached_property
    def _read(self) -> list[int]:
        return [record.number for record in self._content.records if record.error is None]

    def _cells(self, index: int) -> list[str]:
        records = [record.cells for record in self._content.records if record.error is None]
        return [cells[index] if index < len(cells) else "" for cells in records]

    def _rank(self, index: int) -> int:
        """How early the configuration names the column: the role's own name comes first."""
        return list(self._names["column"]).index(normal(self._content.header[index]))
