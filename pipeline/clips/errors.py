"""What a user can do wrong in the clips stage: the base, and what is wrong with a table as a whole."""

from __future__ import annotations


class ClipsError(ValueError):
    """Data or settings of the clips stage that a user must mend; the message says which and how."""


class TableError(ClipsError):
    """A table that cannot be used at all; the message names the file and what to do.

    `rows` is how many records it held, as far as they could be counted.
    """

    def __init__(self, message: str, rows: int = 0) -> None:
        super().__init__(message)
        self.rows = rows


class VocabularyError(ClipsError):
    """The configured aliases contradict each other: one name stands for two things."""
