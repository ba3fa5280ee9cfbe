"""The processes of the parts that were started: which of them are ready, and how one ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from deploy.run.parts import ROOT, Part
from deploy.run.processes import Child, start

READY_SECONDS = 300.0  # a cold start on a slow or busy machine reads a gigabyte of libraries


class StartedParts:
    """Starts `parts` in the order that they ask for, and looks after them. `clock` gives rising seconds."""

    def __init__(
        self,
        parts: Sequence[Part],
        environment: Mapping[str, str],
        logs: Path,
        show: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = parts
        self._environment = environment
        self._logs = logs
        self._show = show
        self._clock = clock
        self._children: dict[str, Child] = {}
        self._started: dict[str, float] = {}
        self._ready: set[str] = set()

    @property
    def children(self) -> list[Child]:
        return list(self._children.values())

    def not_ready(self) -> list[str]:
        """Names of the parts that are to be started yet, or do not answer yet."""
        return [part.name for part in self._parts if part.name not in self._ready]

    def begin(self, due: Callable[[str], bool] = lambda name: True) -> list[tuple[Part, str]]:
        """Start each part that does not run, is `due`, and whose predecessors are ready.

        Returns the parts that cannot be started, each with a sentence that says why.
        """
        failed = []
        for part in self._parts:
            if part.name in self._children or not due(part.name) or not self._ready.issuperset(part.after):
                continue
            self._started[part.name] = self._clock()
            try:
                self._children[part.name] = start(
                    part.name, part.command, self._environment, ROOT, self._logs, show=self._show, host=part.host
                )
            except OSError as error:  # no memory, no file handles
                failed.append((part, f"could not be started ({error})"))
        return failed

    def newly_ready(self) -> list[Part]:
        """The parts that have become ready since the last look; a task is when it has ended with 0."""
        found = [part for part in self._parts if part.name not in self._ready and self._is_ready(part)]
        self._ready.update(part.name for part in found)
        return found

    def trouble(self, part: Part) -> str | None:
        """What is wrong with a part: how it ended though it should go on, or that it does not become ready.

        None if nothing is wrong with it.
        """
        if (child := self._children.get(part.name)) is None:
            return None
        code = child.process.poll()
        if code is not None and not (part.task and code == 0):
            return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        late = part.name not in self._ready and self._clock() - self._started[part.name] > READY_SECONDS
        return f"was not ready {READY_SECONDS:.0f} s after its start" if late else None

    def last_lines(self, name: str) -> list[str]:
        """The last lines that a part printed before it ended."""
        if (child := self._children.get(name)) is None:
            return []
        child.process.poll()
        child.log.close()
        return list(child.log.tail)

    def forget(self, names: Iterable[str]) -> None:
        """Count parts that have ended as not started."""
        for name in names:
            self.last_lines(name)
            self._children.pop(name, None)
            self._ready.discard(name)

    def _is_ready(self, part: Part) -> bool:
        child = self._children.get(part.name)
        if child is None:
            return False
        return child.process.poll() == 0 if part.task else part.ready()
