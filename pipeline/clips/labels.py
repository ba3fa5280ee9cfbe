"""The label cell of a table: one class, or several where a recording may have several defects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from speech.defects.spec import REFERENCE_CLASS

UNKNOWN_LABEL = "unknown_label"
_SEPARATORS = re.compile(r"[;,+/|]")


class LabelError(ValueError):
    """A label cell that cannot be used; `code` is for machines, the message says what is wrong and allowed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_labels(
    cell: str, meaning: Callable[[str], str | None], classes: Sequence[str], allowed: str, *, exclusive: bool
) -> tuple[str, ...]:
    """The classes that a cell names, each once, in the order of `classes`.

    `meaning` gives the class of a name, None where there is none; `allowed` lists the names for a message. A cell
    that is a name as a whole means that class alone, whatever separators it holds; else, where classes are not
    `exclusive`, its parts between `;`, `,`, `+`, `/` and `|` are names. Raises `LabelError`.
    """
    whole = meaning(cell)
    if whole is not None:
        return (whole,)
    parts = [part.strip() for part in _SEPARATORS.split(cell) if part.strip()]
    unknown = [part for part in parts if meaning(part) is None]
    if exclusive and len(parts) > 1 and not unknown:
        remedy = "; for several labels in one cell set ops.clips.config.exclusive to false"
        raise LabelError(UNKNOWN_LABEL, f"unknown label {cell!r}; allowed: {allowed}{remedy}")
    if exclusive or not parts or parts == unknown:
        raise LabelError(UNKNOWN_LABEL, f"unknown label {cell!r}; allowed: {allowed}")
    if unknown:
        raise LabelError(UNKNOWN_LABEL, f"unknown label {unknown[0]!r} in {cell!r}; allowed: {allowed}")
    named = {meaning(part) for part in parts}
    labels = tuple(name for name in classes if name in named)
    if REFERENCE_CLASS in labels and len(labels) > 1:
        defects = ", ".join(name for name in labels if name != REFERENCE_CLASS)
        raise LabelError(
            "contradictory_label",
            f"label {cell!r} says {REFERENCE_CLASS}, which means no defect, and {defects} as well; keep one of them",
        )
    return labels
