"""Child processes: started, and ended with all that descends from them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.run.logbook import Logbook

MARK = "VNYATNO_LAUNCHER"  # set to the data folder in every process of a launcher, so that none can get lost
PART_MARK = "VNYATNO_PART"  # set to the part's name in its processes: what outlives a part is known by it
_LOOK_SECONDS = 0.05
_KILL_SECONDS = 1.0  # what the kernel may take to end killed processes
_KILL_ROUNDS = 3  # a process may start another between the look and the kill
_TERMINATE_SECONDS = 2.0  # what processes that outlived their launcher or part get before they are killed too


@dataclass
class Child:
    """A running child.

    Its descendants are found by `MARK`, not by parenthood: some outlive their parents. A `host` is not asked to end
    itself; its children are. Dagster's code server would first wait for its clients.
    """

    name: str
    process: subprocess.Popen[str]
    log: Logbook = field(repr=False)
    host: bool = False


def start(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    logs: Path,
    *,
    show: bool = True,
    host: bool = False,
) -> Child:
    """Start a child in its own session (Ctrl-C in the terminal then reaches the launcher alone). Raises `OSError`."""
    log = Logbook(name, logs, show)
    log.write(f"$ {' '.join(command)}")
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**environment, PART_MARK: name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError:
        log.close()
        raise
    if process.stdout is None:
        raise AssertionError("a pipe was asked for")
    log.follow(process.stdout)
    return Child(name, process, log, host)


def marked(home: Path, part: str | None = None) -> list[psutil.Process]:
    """Every process that descends from a launcher of this data folder, but this one and its parents.

    With `part`, only those that descend from the part of that name.
    """
    kin = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    # Not psutil.process_iter: it keeps what it found before by number, and the kernel gives numbers again. A process
    # under the number of one that was seen before is taken for that one, which has ended, and is not asked to end.
    for number in psutil.pids():
        if number in kin:
            continue
        try:
            process = psutil.Process(number)
            variables = process.environ()
            ours = variables.get(MARK) == str(home) and part in (None, variables.get(PART_MARK))
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return found


def end(children: Sequence[Child], home: Path, grace: float) -> list[int]:
    """End the children, and whatever else is left of `home`.

    The children are asked first and have `grace` seconds together; then every process that is left is killed. Returns
    the ids of processes that could not be ended, which is none unless the kernel holds them.
    """
    asked = [process for child in children for process in _asked(child)]
    _send(asked, kill=False)
    slow = {process.pid for process in _wait(asked, grace)}
    for child in children:
        if child.process.pid in slow:
            child.log.write(f"did not end within {grace:.0f} s and is killed")
    left = _kill_marked(home)
    for child in children:
        child.process.poll()
        child.log.close()
    return left


def end_marked(home: Path, part: str | None = None) -> list[int]:
    """End every process of a launcher of this data folder, or of one `part` of it.

    They are asked first, then killed. Returns the ids of those that are left.
    """
    left = marked(home, part)
    if left:
        _send(left, kill=False)
        _wait([process for process in left if _heeds(process)], _TERMINATE_SECONDS)
    return _kill_marked(home, part)


def _asked(child: Child) -> list[psutil.Process]:
    """The processes that are asked to end for a child: itself, or the children of a host."""
    try:
        process = psutil.Process(child.process.pid)
        return [inner for inner in process.children() if _heeds(inner)] if child.host else [process]
    except psutil.NoSuchProcess:
        return []


def _heeds(process: psutil.Process) -> bool:
    """Whether a process ends when it is asked to."""
    try:
        # This helper of multiprocessing ignores signals and ends with the process it serves.
        return not any("resource_tracker" in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def _wait(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended, at most `seconds`; returns those that have not."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left := [process for process in left if not _ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    return left


def _ended(process: psutil.Process) -> bool:
    """Whether a process has ended; it may still be in the process table, if its parent has not looked yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _kill_marked(home: Path, part: str | None = None) -> list[int]:
    left: list[psutil.Process] = []
    for _ in range(_KILL_ROUNDS):
        left = marked(home, part)
        if not left:
            break
        _send(left, kill=True)
        left = _wait(left, _KILL_SECONDS)
    return [process.pid for process in left]


def _send(processes: Sequence[psutil.Process], kill: bool) -> None:
    for process in processes:
        try:
            if kill:
                process.kill()
            else:
                process.terminate()
        except psutil.NoSuchProcess:
            continue  # ended by itself meanwhile
