"""The child's half of `speech.process.worker`: what it does before it is ready, and its loop."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from typing import IO, Any

from speech.process.lifetime import end_with, give_up_rights
from speech.process.messages import READY, read, write
from speech.process.network_filter import leave_network

Work = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]
"""The answer to a message and its raw bytes, again as a message and raw bytes."""


def begin() -> IO[bytes]:
    """Say that this child is ready, and where its answers go. From here on it ends with its parent.

    What a child imports before this is part of its start, what it imports later of its first answer.
    """
    end_with(os.getppid())  # a parent that has ended before this leaves standard input at its end
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not stand among the answers
    answers.write(READY)
    answers.flush()
    return answers


def serve(answers: IO[bytes], work: Work) -> None:
    """Answer what is asked on standard input until it ends."""
    while True:
        try:
            message, raw = read(sys.stdin.buffer)
        except EOFError:
            return
        write(answers, *work(message, raw))


def confine(memory: int) -> bool:
    """From now on this process gets no more than `memory` bytes of address space, writes no file, leaves no core dump,
    is given no more rights by what it executes, and has no network where the machine can see to that: whether it can.
    Raises OSError."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    give_up_rights()
    return leave_network()
