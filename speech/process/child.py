"""A child process as its parent sees it: it answers with messages, has so long for each, and can be killed."""

from __future__ import annotations

import os
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from speech.process.background import NAME
from speech.process.messages import read

_ROOT = Path(__file__).resolve().parents[2]  # where `python -m speech` finds the code

# What a child is told of its parent's environment: where things are. Keys and tokens are nothing to what reads the
# files of strangers.
_KEPT = {"HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV", "VNYATNO_HOME", "VNYATNO_WEIGHTS"}
_KEPT |= {"HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "XDG_CACHE_HOME"}
_KEPT_PREFIXES = ("CUDA_", "LC_", "LD_", "NVIDIA_", "PYTHON")

START_SECONDS = 120.0  # for imports, which take half a second; on an overloaded machine many times that


class ChildBroke(RuntimeError):
    """The child ended before it had answered, or what it said is no message."""


class ChildNotStarted(ChildBroke):
    """The child ended or stood still before it said that it was ready."""


class ChildTimeout(RuntimeError):
    """The child was killed, because it took too long."""


class Child(ABC):
    """One child process. Only `kill` may be called by a thread that does not own it."""

    answers: IO[bytes]
    """Where its messages come from; ends when the child does."""
    killed = False
    """Whether it was told to end. It is of no more use then, even if it answered before."""

    @abstractmethod
    def kill(self) -> None:
        """End it, from any thread: whoever waits for its answer waits no longer."""

    @abstractmethod
    def close(self) -> None:
        """End it, and wait until it is gone."""

    def receive(self, seconds: float | None = None) -> tuple[dict[str, Any], bytes]:
        """Its next message, for which it has so many seconds, None: any. Raises `ChildBroke` or `ChildTimeout`."""
        with self._within(seconds):
            return read(self.answers)

    @contextmanager
    def _within(self, seconds: float | None) -> Iterator[None]:
        """An exchange. Where it fails in any way, half a message may be in the pipe: the child is killed."""
        with killed_after(self, seconds) as timed_out:
            try:
                yield
            except (EOFError, BrokenPipeError, ValueError, KeyError) as error:
                self.kill()
                if timed_out.is_set():
                    raise ChildTimeout(f"a child was silent for {seconds:g} s") from error
                raise ChildBroke("a child broke off") from error
            except BaseException:
                self.kill()
                raise


class Mortal(Protocol):
    """A process that can be ended."""

    def kill(self) -> None: ...


@contextmanager
def killed_after(process: Mortal, seconds: float | None) -> Iterator[threading.Event]:
    """Kill the process if the block takes longer, None: however long it takes. The event says that it was killed."""
    timed_out = threading.Event()
    if seconds is None:
        yield timed_out
        return

    def expire() -> None:
        timed_out.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.name, timer.daemon = f"{NAME}-time-limit", True
    timer.start()
    try:
        yield timed_out
    finally:
        timer.cancel()
        timer.join()  # so that it is known for certain whether it fired


def launch(command: Sequence[str], **pipes: Any) -> subprocess.Popen[bytes]:
    """Start a command that finds this code and knows no secrets of this process; `pipes` as `subprocess.Popen` takes
    them. Raises OSError."""
    environment = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    # Each thread of a linear algebra library maps 40 MB: on many cores that alone would pass a limit of memory, and a
    # process with threads cannot fork.
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(list(command), cwd=_ROOT, env=environment, **pipes)
