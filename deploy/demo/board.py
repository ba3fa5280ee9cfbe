"""How far a run is, stage by stage: a table that is redrawn in a terminal, lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.demo.dagster_runs import Event

_SIGNS = {"waits": "·", "runs": "▶", "done": "✓", "failed": "✗", "skipped": "–"}


@dataclass
class Stage:
    """One row. Times are in seconds since 1970."""

    name: str
    state: str = "waits"
    started: float | None = None
    ended: float | None = None
    note: str = ""

    def seconds(self, now: float) -> float | None:
        """How long it took, or takes by now; None before it began."""
        return None if self.started is None else (self.ended or now) - self.started


class Board:
    """The stages of a run. Feed it events in order; it draws itself while it is entered as a context."""

    def __init__(self, console: Console, stages: Iterable[str]) -> None:
        self.stages = {name: Stage(name) for name in stages}
        self._console = console
        self._began = time.time()
        self._live: AbstractContextManager[Live | None] = (
            Live(console=console, get_renderable=self.table, refresh_per_second=2)
            if console.is_terminal
            else nullcontext()
        )

    def __enter__(self) -> Board:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def apply(self, event: Event) -> None:
        """Take in one event."""
        if event.stage is None:
            return
        stage = self.stages.setdefault(event.stage, Stage(event.stage))
        text = event.message.splitlines()[0] if event.message else ""
        match event.kind:
            case "started":
                stage.state, stage.started, stage.ended, text = "runs", event.at, None, "started"
            case "succeeded":
                stage.state, stage.ended, stage.note = "done", event.at, ""
                text = f"done in {clock(stage.seconds(event.at) or 0.0)}"
            case "failed":
                stage.state, stage.ended, stage.note = "failed", event.at, text
            case "skipped":
                stage.state, stage.note = "skipped", text
            case "message":
                stage.note = text.removeprefix(f"{stage.name}: ")
                text = stage.note
            case _:
                return
        if not self._console.is_terminal:
            line = f"[{clock(event.at - self._began)}] {stage.name}: {text}"
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def table(self) -> Table:
        """The stages as they stand."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for stage in self.stages.values():
            seconds = stage.seconds(time.time())
            table.add_row(_SIGNS[stage.state], stage.name, "" if seconds is None else clock(seconds), stage.note)
        return table


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, `2:05`."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
