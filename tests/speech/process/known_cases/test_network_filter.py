"""A confined child has no way onto the network, by whatever family, call, thread or program it tries."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys

import pytest

from speech.process import network_filter
from speech.process.network_filter import leave_network

CONFINED = """
import ctypes, errno, os, socket, subprocess, sys, threading
from speech.process.served import confine

port = int(sys.argv[1])

def tried(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def raw(number):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), 1, None) < 0:
        raise OSError(ctypes.get_errno(), "")

results = []
go = threading.Event()
def late():
    go.wait()
    results.append(tried(lambda: socket.create_connection(("127.0.0.1", port), 5)))
thread = threading.Thread(target=late)
thread.start()  # before the filter: it is not to be forgotten
print(confine(4 << 30))
go.set()
thread.join()
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"
print(*results)
print(tried(lambda: socket.create_connection(("127.0.0.1", port), 5)))
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
    print(tried(lambda: socket.socket(family, socket.SOCK_DGRAM)))
print(tried(lambda: raw(425)))
print(subprocess.run([sys.executable, "-c", CONNECT, str(port)], stderr=subprocess.DEVNULL).returncode)
print(tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)))
print(tried(lambda: socket.socketpair()))
print(tried(lambda: os.pipe()))
"""

known_processor = pytest.mark.skipif(platform.machine() not in network_filter._CALLS, reason="no filter is known")


@known_processor
def test_nothing_but_sockets_of_files_is_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", CONFINED, str(server.getsockname()[1])]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    lines = said.stdout.split()
    if lines[:1] == ["False"]:
        pytest.skip("this machine takes no filter")
    assert lines == ["True", *["EPERM"] * 8, "1", "done", "done", "done"], said.stderr


def test_a_processor_without_a_filter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_filter.platform, "machine", lambda: "riscv64")
    assert leave_network() is False
    socket.socket(socket.AF_INET).close()


def test_a_refused_filter_is_told_and_stops_nothing() -> None:
    """A kernel without the call, and a container that forbids it, answer with an error."""
    program = (
        "import dataclasses, platform\n"
        "from speech.process import network_filter\n"
        "from speech.process.served import confine\n"
        "for name, calls in network_filter._CALLS.items():\n"
        "    network_filter._CALLS[name] = dataclasses.replace(calls, seccomp=9999)\n"
        "print(confine(4 << 30))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == "False", said.stderr
