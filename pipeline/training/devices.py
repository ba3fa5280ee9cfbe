"""Training in several processes, one for each GPU, started by accelerate's launcher and ended with the run.

A job is a function by its name (`module:function`) and what it is called with, which must fit into JSON; every process
calls it, and builds data and model anew from folders. The first process's lines and figures are passed on as they come,
and what it returns is what the job gives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.progress import Metrics, Report
from pipeline.training.hardware import NothingToTrain
from speech.files import read_json, write_json
from speech.home import code_folder

LAUNCH = "devices"  # in a stage's folder, what goes to the processes and comes back
JOB, RESULT = "job.json", "result.json"
PARENT = "VNYATNO_LAUNCHED_BY"  # the process whose end is the end of this one
_MARK = "\x1e"  # begins what is meant for the launching process; all else is for people
_KEPT_LINES = 20  # of what the processes said for people, told where they fail


class LaunchFailed(RuntimeError):
    """The processes ended before they were done; the message is the first error, or what they said last."""


def launch(
    function: str,
    arguments: Mapping[str, Any],
    folder: Path,
    devices: int,
    report: Report,
    metrics: Metrics,
) -> Any:
    """Call `function(report=…, metrics=…, **arguments)` in as many processes as devices and return what the first one
    returns, JSON-able.

    `folder` holds what goes to and fro. The processes and their children end with this process, whatever ends it.
    Raises `NothingToTrain` as the function does, and `LaunchFailed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    write_json(folder / JOB, {"function": function, "arguments": dict(arguments)})
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline.training.launcher", str(devices), str(folder)],
        cwd=code_folder(),
        env=os.environ | {PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said: deque[str] = deque(maxlen=_KEPT_LINES)
    errors: list[tuple[str, str]] = []
    try:
        assert child.stdout is not None
        for line in child.stdout:
            _pass_on(line, said, errors, report, metrics)
        failed = child.wait() != 0
    finally:
        child.kill()  # the processes that it started end with it
        child.wait()
    if errors:
        kind, message = errors[0]
        raise NothingToTrain(message) if kind == NothingToTrain.__name__ else LaunchFailed(f"{kind}: {message}")
    if failed or not (folder / RESULT).exists():
        raise LaunchFailed(f"{function} on {devices} devices ended with status {child.returncode}:\n" + "\n".join(said))
    return read_json(folder / RESULT)


def _pass_on(line: str, said: deque[str], errors: list[tuple[str, str]], report: Report, metrics: Metrics) -> None:
    text, _, message = line.rstrip("\n").partition(_MARK)
    if not message:
        said.append(text)
        return
    told = json.loads(message)
    if "line" in told:
        report(told["line"])
    elif "error" in told:
        errors.append((told["kind"], told["error"]))
    else:
        metrics(told["figures"], told["step"])


def tell(**message: Any) -> None:
    """Say something to the launching process, from one that it launched."""
    sys.stdout.write(f"{_MARK}{json.dumps(message)}\n")
    sys.stdout.flush()


def call(folder: Path, *, first: bool) -> None:
    """Run the job in `folder`, in a process that was launched; the `first` leaves what it returns."""
    job = read_json(folder / JOB)
    module, _, name = job["function"].partition(":")

    def figures(values: dict[str, float], step: int) -> None:
        tell(figures=values, step=step)

    try:
        work = getattr(import_module(module), name)
        result = work(report=lambda line: tell(line=line), metrics=figures, **job["arguments"])
    except Exception as error:  # whatever it is, the launching process raises it again
        tell(error=str(error), kind=type(error).__name__)
        raise
    if first:
        write_json(folder / RESULT, result)
