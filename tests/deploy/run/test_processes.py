from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.run.processes import MARK, Child, end, end_marked, marked, start

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
# Whatever the tests' own process ignores or holds back, which children inherit.
HEEDING = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); "
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]); print('up', flush=True); time.sleep(600)"
)
PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=True)
time.sleep(600)
"""


def begin(code: str, home: Path, host: bool = False) -> Child:
    environment = {**os.environ, MARK: str(home)}
    return start("toy", [sys.executable, "-c", code], environment, home, home / "logs", show=False, host=host)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_is_found_by_its_mark_and_ends_when_asked(tmp_path: Path) -> None:
    child = begin("import time; time.sleep(600)", tmp_path)
    wait_until(lambda: [process.pid for process in marked(tmp_path)] == [child.process.pid])
    assert end([child], tmp_path, grace=30) == []
    assert not psutil.pid_exists(child.process.pid)


def test_a_child_that_ignores_the_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    child = begin(STUBBORN, tmp_path)
    wait_until(lambda: "up" in child.log.tail)
    assert end([child], tmp_path, grace=0.3) == []
    assert not psutil.pid_exists(child.process.pid)
    assert "did not end within" in child.log.tail[-1]


def test_descendants_end_although_they_left_session_and_parent(tmp_path: Path) -> None:
    child = begin(PARENT, tmp_path)
    wait_until(lambda: "up" in child.log.tail)
    child.process.kill()
    child.process.wait()
    assert len(marked(tmp_path)) == 1  # an orphan in a session of its own
    assert end_marked(tmp_path) == []
    assert marked(tmp_path) == []
    child.log.close()


def test_what_has_the_number_of_an_earlier_process_is_asked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives numbers again, after 32,768 processes on small machines."""
    child = begin(HEEDING, tmp_path)
    wait_until(lambda: "up" in child.log.tail)
    earlier = psutil.Process(child.process.pid)
    earlier._ident = (child.process.pid, 0.0)  # as psutil remembers another process of that number
    monkeypatch.setattr(psutil, "_pmap", {child.process.pid: earlier})
    assert end_marked(tmp_path) == []
    assert child.process.wait(10) == -signal.SIGTERM
    child.log.close()


def test_of_a_host_the_children_are_asked(tmp_path: Path) -> None:
    inner = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (print('asked', flush=True), sys.exit()))"
    )
    inner += "\nprint('up', flush=True)\ntime.sleep(600)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {inner!r}]); time.sleep(600)"
    child = begin(code, tmp_path, host=True)
    wait_until(lambda: "up" in child.log.tail)
    assert end([child], tmp_path, grace=30) == []
    assert "asked" in child.log.tail
    assert marked(tmp_path) == []


def test_lines_go_into_the_log_file_without_colours(tmp_path: Path) -> None:
    child = begin(r"print('\x1b[31mred\x1b[0m'); import sys; print('wrong', file=sys.stderr)", tmp_path)
    child.process.wait()
    child.log.close(seconds=30)
    assert list(child.log.tail)[1:] == ["red", "wrong"] or list(child.log.tail)[1:] == ["wrong", "red"]
    assert "\x1b" not in (tmp_path / "logs" / "toy.log").read_text()
