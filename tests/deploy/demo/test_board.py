from __future__ import annotations

import io

from rich.console import Console

from deploy.demo.board import Board, clock
from deploy.demo.dagster_runs import Event


def board() -> tuple[Board, io.StringIO]:
    printed = io.StringIO()
    return Board(Console(file=printed, width=100), ["archive", "clips"]), printed


def test_lines_tell_start_progress_and_time_taken() -> None:
    stages, printed = board()
    with stages:
        stages.apply(Event("started", "archive", "Started execution", 100.0))
        stages.apply(Event("message", "archive", "archive: 40 of 200 files\nmore", 130.0))
        stages.apply(Event("materialized", "archive", "archive", 160.0))
        stages.apply(Event("succeeded", "archive", "Finished", 165.0))
    lines = [line.partition("] ")[2] for line in printed.getvalue().splitlines()]
    assert lines == ["archive: started", "archive: 40 of 200 files", "archive: done in 1:05"]
    assert stages.stages["archive"].seconds(0.0) == 65.0
    assert stages.stages["clips"].state == "waits"


def test_the_table_shows_every_stage() -> None:
    stages, printed = board()
    stages.apply(Event("started", "archive", "", 100.0))
    stages.apply(Event("failed", "archive", "no such file\nsecond line", 102.0))
    stages.apply(Event("skipped", "clips", "not executed", 102.0))
    console = Console(file=printed, width=100)
    console.print(stages.table())
    assert "✗  archive  0:02  no such file" in printed.getvalue()
    assert "–  clips" in printed.getvalue()


def test_events_of_the_run_itself_and_of_unknown_stages_do_no_harm() -> None:
    stages, _ = board()
    stages.apply(Event("run", None, "failed", 1.0))
    stages.apply(Event("started", "a check", "", 1.0))
    assert list(stages.stages) == ["archive", "clips", "a check"]


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0.0, 59.6, 600.0)] == ["0:00", "1:00", "10:00"]
