"""What the children print. Each line goes into a file of the child's own, and to the terminal with the child's name."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

_LARGEST = 20 << 20  # bytes of one log file before the next is begun
_KEPT = 3  # older files beside it
_TAIL = 15  # lines shown when a child ends: enough for the end of a traceback
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Logbook:
    """The log of one child.

    Its lines come from a thread, which ends when the child's last descendant has closed its output.
    """

    def __init__(self, name: str, folder: Path, show: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.log"
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._logger = logging.Logger(name)
        to_file = RotatingFileHandler(self.path, maxBytes=_LARGEST, backupCount=_KEPT, encoding="utf-8")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._logger.addHandler(to_file)
        if show:
            to_terminal = _Terminal(sys.stdout)
            to_terminal.setFormatter(logging.Formatter("%(name)-9s| %(message)s"))
            self._logger.addHandler(to_terminal)
        self._thread: threading.Thread | None = None

    def follow(self, stream: IO[str]) -> None:
        """Begin to read a child's output."""
        name = f"vnyatno-log-{self._logger.name}"
        self._thread = threading.Thread(target=self._read, args=(stream,), name=name, daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Add one line."""
        plain = _COLOURS.sub("", line.rstrip())
        if plain:
            self.tail.append(plain)
            self._logger.info("%s", plain)

    def close(self, seconds: float = 1.0) -> None:
        """Wait for the last lines, at most so long, and close the file."""
        if self._thread is not None:
            self._thread.join(seconds)
        for handler in self._logger.handlers:
            handler.close()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.write(line)


class _Terminal(logging.StreamHandler[IO[str]]):
    def handleError(self, record: logging.LogRecord) -> None:
        # Whoever read our output has gone (`make up | head`): that must not end the servers. The files go on.
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            self.setLevel(logging.CRITICAL + 1)
        else:
            super().handleError(record)
