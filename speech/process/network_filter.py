"""A filter of Linux (seccomp) that leaves a process no way onto the network, for what reads the files of strangers.

The kernel is given a small program that sees the number and arguments of each system call. A file may make a library
open an address that it names, or run code of its own. Neither gets a socket.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import sys
from dataclasses import dataclass

# Of <linux/audit.h>, <linux/seccomp.h> and <linux/filter.h>.
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _PROCESSOR, _FIRST_ARGUMENT = 0, 4, 16  # where `struct seccomp_data` has them, in bytes
_IO_URING_SETUP = 425  # a ring opens sockets without a call that a filter sees
_OTHER_NUMBERS = 0x40000000  # from here on calls have the numbers of x86-64's x32


@dataclass(frozen=True)
class _Calls:
    """What a processor calls itself in system calls, and the numbers of some of these."""

    processor: int
    seccomp: int
    socket: int


_CALLS = {"x86_64": _Calls(0xC000003E, 317, 41), "aarch64": _Calls(0xC00000B7, 277, 198)}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def leave_network() -> bool:
    """From now on neither this process nor what it executes opens any socket but those of files (AF_UNIX); EPERM says
    so. All its threads are meant. Sockets that are open already stay.

    Whether it is so: not on other processors than x86-64 and aarch64, and not where the kernel or a container refuses
    the filter. Wants `speech.process.lifetime.give_up_rights` before.
    """
    calls = _CALLS.get(platform.machine())
    if calls is None or sys.maxsize < 1 << 32:  # a program of 32 bits has other numbers
        return False
    instructions = _instructions(calls)
    program = _Program(len(instructions), (_Instruction * len(instructions))(*instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (_SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    return bool(libc.syscall(ctypes.c_long(calls.seccomp), *arguments) == 0)


def _instructions(calls: _Calls) -> list[_Instruction]:
    """The program. A call is refused that names another processor: it is made with other numbers (`int 0x80`)."""
    steps = [
        (_LOAD, _PROCESSOR, None, None),
        (_EQUAL, calls.processor, None, _REFUSE),
        (_LOAD, _NUMBER, None, None),
        (_AT_LEAST, _OTHER_NUMBERS, _REFUSE, None),
        (_EQUAL, _IO_URING_SETUP, _REFUSE, None),
        (_EQUAL, calls.socket, None, _ALLOW),
        (_LOAD, _FIRST_ARGUMENT, None, None),
        (_EQUAL, socket.AF_UNIX, _ALLOW, _REFUSE),
    ]
    ends = {_REFUSE: len(steps), _ALLOW: len(steps) + 1}
    made = []
    for place, (code, value, if_true, if_false) in enumerate(steps):
        jumps = [0 if end is None else ends[end] - place - 1 for end in (if_true, if_false)]
        made.append(_Instruction(code, jumps[0], jumps[1], value))
    return [*made, _Instruction(_RETURN, 0, 0, _REFUSE), _Instruction(_RETURN, 0, 0, _ALLOW)]
