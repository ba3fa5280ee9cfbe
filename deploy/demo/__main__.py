"""The whole way once: `python -m deploy.demo [--recipe defects|asr] [--archive A] [--config YAML] [--language L]
[--keep 0|1]`.

Starts everything, trains through Dagster's queue, waits until the service has loaded the new bundle, posts a recording
that was in no training split, and prints the answer and the test scores. Ends with 0 only if the recipe's verdict
(`deploy.demo.verdict`, `deploy.demo.asr_verdict`) has nothing against them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy import run_config as run_configs
from deploy.addresses import AddressError, Addresses, read_addresses
from deploy.demo import asr_demo, defects_demo
from deploy.demo.board import clock
from deploy.demo.client import Service, ServiceError
from deploy.demo.dagster_runs import Dagster, DagsterError
from deploy.demo.training import DemoError, Metadata, Training, say
from deploy.demo.verdict import FigureError
from deploy.front.settings import FrontError
from deploy.run.claim import StackError
from deploy.run.greeting import dagster_link, places
from deploy.run.launcher import everything, prepared_front, raise_on_signals
from deploy.run.parts import ROOT
from deploy.run.stack import Stack
from speech.home import home


@dataclass(frozen=True)
class Demonstration:
    """What one recipe shows: the job, its stages that take the archive and the language, what the job and the archive
    are by default, and its end."""

    job: str
    stage: str
    clips: str
    config: Path
    archive: str
    ask: Callable[[Console, Service, Metadata, Callable[[], None]], list[str]]


RECIPES = {
    "defects": Demonstration(
        "train",
        "archive",
        "clips",
        ROOT / "configs" / "smoke.yaml",
        str(ROOT / "samples" / "mini.zip"),
        defects_demo.ask,
    ),
    "asr": Demonstration(
        "asr",
        "asr_archive",
        "asr_clips",
        ROOT / "configs" / "asr-smoke.yaml",
        str(ROOT / "samples" / "commands.zip"),
        asr_demo.ask,
    ),
}


def run_configuration(
    shown: Demonstration, archive: str | None, config: str | None, language: str | None = None
) -> dict[str, Any]:
    """What to launch: the recipe's sample archive unless another is given or a given configuration names its own."""
    value = run_configs.read_run_config(Path(config).expanduser() if config else shown.config)
    if language:
        value = run_configs.with_language(value, language, shown.clips)
    if archive is None and config and run_configs.names_data(value, shown.stage):
        return value
    return run_configs.with_archive(value, archive or shown.archive, shown.stage)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="Train, serve and ask, once.")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="defects", help="what to train (default: defects)")
    parser.add_argument("--archive", help="a .zip, an http(s) link or a Google Drive link (default: one in samples/)")
    parser.add_argument("--config", help="a run configuration of the recipe's job (default: one in configs/)")
    parser.add_argument("--language", help="of the speech: one of configs/languages (default: as --config says)")
    parser.add_argument("--keep", choices=("0", "1"), default="1", help="1: stay up until Ctrl-C (default); 0: stop")
    options = parser.parse_args(arguments)
    shown = RECIPES[options.recipe]
    raise_on_signals()
    console = Console()
    began = time.monotonic()
    try:
        run_config = run_configuration(shown, options.archive or None, options.config or None, options.language or None)
        addresses = read_addresses()
        prepared = prepared_front(home(), addresses)
        with ExitStack() as running:
            with console.status("starting Dagster, the service and the web application"):
                stack = running.enter_context(Stack(home(), addresses, everything(addresses, prepared), show=False))
            code = _demonstrate(console, stack, addresses, shown, run_config)
            say(console, f"\n{clock(time.monotonic() - began)} in all")
            if options.keep == "1":
                _stay(console, stack, places(addresses, prepared))
        return code
    except (AddressError, FrontError, StackError, run_configs.RunConfigError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("stopped before the end", file=sys.stderr, flush=True)
        return 130  # as a shell says of a command that Ctrl-C ended


def _demonstrate(
    console: Console, stack: Stack, addresses: Addresses, shown: Demonstration, run_config: Mapping[str, Any]
) -> int:
    link = dagster_link(addresses)
    say(
        console,
        f"Dagster {link}, the service {addresses.service.url}/api/docs/ and the web application "
        f"{addresses.web.url} are up",
    )
    dagster = Dagster(addresses.dagster.url, stack.home.dagster)
    try:
        metadata = Training(console, dagster, shown.job, stack.check, link).train(run_config)
        problems = shown.ask(console, Service(addresses.service.url), metadata, stack.check)
    except (DemoError, DagsterError, ServiceError, FigureError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr, flush=True)
    if problems:
        print(f"look at {link} or into {stack.logs}", file=sys.stderr, flush=True)
    return 1 if problems else 0


def _stay(console: Console, stack: Stack, lines: Sequence[str]) -> None:
    say(console, "\n" + "\n".join(lines) + "\nCtrl-C ends everything")
    try:
        stack.watch()
    except KeyboardInterrupt:
        console.print("stopped")


if __name__ == "__main__":
    raise SystemExit(main())
