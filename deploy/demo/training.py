"""A training through Dagster's queue, followed to its end: the first part of a demonstration."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console

from deploy.demo.board import Board
from deploy.demo.dagster_runs import Dagster, DagsterError

Metadata = Mapping[str, Mapping[str, Any]]
"""Of what a run has made: asset name -> entry -> value."""

_LOOK_SECONDS = 1.0
_QUEUE_SECONDS = 15.0  # after which a run is still queued because of another one, not because the daemon has not looked
_RETRY_SECONDS = 60.0  # within which the daemon launches the retry of a run whose process was killed


class DemoError(RuntimeError):
    """The demonstration cannot go on; the message says why and where to look."""


class Training:
    """Runs of `job` in `dagster`. `check` raises when one of the servers has ended; `link` is where a person opens
    Dagster, at its web server itself where it is empty."""

    def __init__(self, console: Console, dagster: Dagster, job: str, check: Callable[[], None], link: str = "") -> None:
        self._console = console
        self._dagster = dagster
        self._link = link or dagster.url
        self._job = job
        self._check = check

    def train(self, run_config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Launch the job, show its stages until it ends, and return the metadata of its assets.

        Raises `DemoError` when the run fails; when interrupted, the run is canceled.
        """
        return self.await_end(self._dagster.launch(self._job, run_config))

    def await_end(self, run_id: str) -> dict[str, dict[str, Any]]:
        """What `train` does once the run is launched."""
        say(self._console, f"run {self._link}/runs/{run_id}\n")
        board = Board(self._console, self._dagster.stages(run_id))
        try:
            with board:
                run_id = self._follow(run_id, board)
        except KeyboardInterrupt:
            with suppress(DagsterError):  # the launcher ends its processes in any case
                self._dagster.terminate(run_id)
            raise
        if not self._console.is_terminal:
            self._console.print(board.table())
        return self._dagster.metadata(run_id)

    def _follow(self, run_id: str, board: Board) -> str:
        """Feed `board` until the run, or the run that retries it, succeeds; returns that run's id."""
        cursor, queued_since = None, time.monotonic()
        while True:
            self._check()
            run = self._dagster.run(run_id)  # before its events: a finished run's are then complete
            events, cursor = self._dagster.events(run_id, cursor)
            for event in events:
                board.apply(event)
            if run.status == "QUEUED" and 0 < queued_since < time.monotonic() - _QUEUE_SECONDS:
                say(self._console, "waiting in the queue: one training goes on at a time, and another was first")
                queued_since = 0.0  # said once
            if run.status == "SUCCESS":
                return run_id
            if run.will_retry:
                run_id, cursor = self._retry(run_id), None
            elif run.finished:
                raise DemoError(f"the run ended with {run.status}:\n{self._dagster.failure(run_id)}")
            time.sleep(_LOOK_SECONDS)

    def _retry(self, run_id: str) -> str:
        deadline = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < deadline:
            self._check()
            run = self._dagster.run(run_id)
            if run.retried_as:
                say(self._console, f"the run's process was killed; going on as run {run.retried_as}")
                return run.retried_as
            if not run.will_retry:
                break
            time.sleep(_LOOK_SECONDS)
        raise DemoError(f"the run ended with FAILURE and was not retried:\n{self._dagster.failure(run_id)}")


def say(console: Console, text: str) -> None:
    """Print text as it is: nothing in it is markup, and long lines are left to the terminal."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def entry(metadata: Metadata, asset: str, name: str) -> str:
    """A text that a run has recorded. Raises `DemoError`."""
    value = metadata.get(asset, {}).get(name)
    if not isinstance(value, str) or not value:
        raise DemoError(f"the run recorded no {name} with the asset {asset}")
    return value
