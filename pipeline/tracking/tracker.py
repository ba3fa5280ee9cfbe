"""What every tracker does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self


class Tracker:
    """Tracks nothing, as is wanted when tracking is off; others do what the methods say."""

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Record settings; nested ones get dotted names, all begin with the stage's: `heads.learning_rate`."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers at a step; names begin with the stage's: `heads/loss`."""

    def confusion(self, matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> None:
        """Record a confusion matrix: counts, a row per true class, a column per predicted one."""

    def picture(self, name: str, png: bytes) -> None:
        """Record a picture, PNG."""

    def finish(self) -> str | None:
        """Send what is left: the experiment's link, or the path of an offline archive, or None where there is neither.

        Nothing may be recorded afterwards; finishing again gives the same answer.
        """
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
