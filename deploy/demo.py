"""The whole way once: `python -m deploy.demo [--archive A] [--config YAML] [--keep 0|1]`.

Starts everything, trains through Dagster's queue, waits until the service has loaded the new bundle, posts a recording
that was in no training split, and prints the answer and the test scores. Ends with 0 only if `deploy.verdict` has
nothing against them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy import recipe
from deploy.addresses import AddressError, Addresses, read_addresses
from deploy.board import Board, clock
from deploy.client import Answer, Service, ServiceError
from deploy.front.settings import FrontError
from deploy.graphql import Dagster, DagsterError
from deploy.greeting import places
from deploy.launcher import everything, prepared_front, raise_on_signals
from deploy.stack import Stack, StackError
from deploy.verdict import MARGIN, FigureError, Scores, read_scores, shortcomings
from speech.home import home

JOB = "train"
_LOOK_SECONDS = 1.0
_QUEUE_SECONDS = 15.0  # after which a run is still queued because of another one, not because the daemon has not looked
_RETRY_SECONDS = 60.0  # within which the daemon launches the retry of a run whose process was killed
_LOAD_SECONDS = 120.0  # for the service to load a bundle; half a second where the machine has nothing else to do
_BAR = 30  # characters of a bar that stands for probability 1


class DemoError(RuntimeError):
    """The demonstration cannot go on; the message says why and where to look."""


class Demo:
    """One demonstration against running servers. `check` raises when one of them has ended."""

    def __init__(self, console: Console, addresses: Addresses, check: Callable[[], None]) -> None:
        self._console = console
        self._dagster = Dagster(addresses.dagster.url)
        self._service = Service(addresses.service.url)
        self._check = check

    def train(self, run_config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Launch the job, show its stages until it ends, and return the metadata of its assets.

        Raises `DemoError` when the run fails; when interrupted, the run is canceled.
        """
        return self.await_end(self._dagster.launch(JOB, run_config))

    def await_end(self, run_id: str) -> dict[str, dict[str, Any]]:
        """What `train` does once the run is launched."""
        self._say(f"run {self._dagster.url}/runs/{run_id}\n")
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

    def post(self, metadata: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Wait for the run's bundle to serve, post a test clip, print everything; returns what falls short."""
        bundle = _entry(metadata, "bundle", "bundle_id")
        scores = read_scores(metadata.get("evaluation", {}))
        clip = Path(_entry(metadata, "evaluation", "example_clip"))
        label = metadata["evaluation"].get("example_label")
        since = time.monotonic()
        self._service.wait_for(bundle, _LOAD_SECONDS, self._check)
        self._say(f"\nbundle {bundle} in service {time.monotonic() - since:.1f} s after the run's end")
        answer = self._service.predict(clip)
        self._say(f"\n{clip}, a test clip that nothing was trained on, {answer.seconds:.1f} s; labelled {label}:")
        self._say(bars(answer))
        self._say(score_lines(scores))
        return shortcomings(bundle, answer.bundle, scores)

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
                self._say("waiting in the queue: one run goes on at a time, and another was first")
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
                self._say(f"the run's process was killed; going on as run {run.retried_as}")
                return run.retried_as
            if not run.will_retry:
                break
            time.sleep(_LOOK_SECONDS)
        raise DemoError(f"the run ended with FAILURE and was not retried:\n{self._dagster.failure(run_id)}")

    def _say(self, text: str) -> None:
        say(self._console, text)


def say(console: Console, text: str) -> None:
    """Print text as it is: nothing in it is markup, and long lines are left to the terminal."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def bars(answer: Answer) -> str:
    """The answer as lines, one per class, with a bar as long as its probability."""
    width = max(map(len, answer.probabilities))
    lines = []
    for name, probability in answer.probabilities.items():
        mark = "  ←" if name == answer.name else ""
        lines.append(f"  {name:<{width}}  {probability:5.3f}  {'█' * round(probability * _BAR)}{mark}")
    return "\n".join([*lines, f"  answered by bundle {answer.bundle}"])


def score_lines(scores: Scores) -> str:
    """The test scores beside what they must beat."""
    return (
        "\ntest split                majority / mean\n"
        f"  macro-F1            {scores.macro_f1:6.3f}   {scores.majority_macro_f1:6.3f}  (at least {MARGIN} above)\n"
        f"  marker count error  {scores.marker_mae:6.3f}   {scores.marker_mae_of_mean:6.3f}  (below)"
    )


def run_configuration(archive: str | None, config: str | None) -> dict[str, Any]:
    """What to launch: the sample archive unless another is given or a given configuration names its own."""
    value = recipe.read_recipe(Path(config).expanduser() if config else recipe.DEFAULT_CONFIG)
    if archive is None and config and recipe.sources(value):
        return value
    return recipe.with_archive(value, archive or recipe.DEFAULT_ARCHIVE)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="Train, serve and ask, once.")
    parser.add_argument("--archive", help="a .zip, an http(s) link or a Google Drive link (default: samples/mini.zip)")
    parser.add_argument("--config", help="a run configuration of the job `train` (default: configs/smoke.yaml)")
    parser.add_argument("--keep", choices=("0", "1"), default="1", help="1: stay up until Ctrl-C (default); 0: stop")
    options = parser.parse_args(arguments)
    raise_on_signals()
    console = Console()
    began = time.monotonic()
    try:
        run_config = run_configuration(options.archive or None, options.config or None)
        addresses = read_addresses()
        prepared = prepared_front(home(), addresses)
        with ExitStack() as running:
            with console.status("starting Dagster, the service and the web application"):
                stack = running.enter_context(Stack(home(), addresses, everything(addresses, prepared), show=False))
            code = _demonstrate(console, stack, addresses, run_config)
            say(console, f"\n{clock(time.monotonic() - began)} in all")
            if options.keep == "1":
                _stay(console, stack, places(addresses, prepared))
        return code
    except (AddressError, FrontError, StackError, recipe.RecipeError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("stopped before the end", file=sys.stderr, flush=True)
        return 130  # as a shell says of a command that Ctrl-C ended


def _demonstrate(console: Console, stack: Stack, addresses: Addresses, run_config: Mapping[str, Any]) -> int:
    say(
        console,
        f"Dagster {addresses.dagster.url}, the service {addresses.service.url}/api/docs/ and the web application "
        f"{addresses.web.url} are up",
    )
    demo = Demo(console, addresses, stack.check)
    try:
        problems = demo.post(demo.train(run_config))
    except (DemoError, DagsterError, ServiceError, FigureError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr, flush=True)
    if problems:
        print(f"look at {addresses.dagster.url} or into {stack.logs}", file=sys.stderr, flush=True)
    return 1 if problems else 0


def _stay(console: Console, stack: Stack, lines: Sequence[str]) -> None:
    say(console, "\n" + "\n".join(lines) + "\nCtrl-C ends everything")
    try:
        stack.watch()
    except KeyboardInterrupt:
        console.print("stopped")


def _entry(metadata: Mapping[str, Mapping[str, Any]], asset: str, name: str) -> str:
    value = metadata.get(asset, {}).get(name)
    if not isinstance(value, str) or not value:
        raise DemoError(f"the run recorded no {name} with the asset {asset}")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
