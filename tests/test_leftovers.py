"""The guard of `tests.leftovers`, in a test session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

HEAD = """
import subprocess, sys, threading, time
import pytest
import tests.leftovers as leftovers

leftovers.GRACE_SECONDS = 0.5
end = threading.Event()

def thread(name="vnyatno-leak", seconds=60):
    made = threading.Thread(target=end.wait, args=(seconds,), name=name, daemon=True)
    made.start()
    return made

def child():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
"""


def told(folder: Path, tests: str) -> tuple[int, str]:
    """The exit status and what pytest says of a module of tests."""
    (folder / "test_it.py").write_text(HEAD + tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.leftovers", "-p", "no:cacheprovider", "-q", "-rA", "."]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they take seconds
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


def test_what_ends_is_no_fault(tmp_path: Path) -> None:
    status, said = told(
        tmp_path,
        """
def test_thread_and_child():
    thread(seconds=0.1)
    one = child()
    one.communicate(b"\\n")

def test_a_thread_that_was_told_to_end_may_take_a_moment():
    thread(seconds=0.3)

def test_a_librarys_own():
    thread("fsspecIO")
""",
    )
    assert (status, "3 passed" in said) == (0, True), said


@pytest.mark.parametrize(
    ("started", "words"),
    [("thread()", "the thread 'vnyatno-leak'"), ("child()", "the process")],
    ids=["thread", "child"],
)
def test_the_test_that_leaves_something_fails_and_no_other(started: str, words: str, tmp_path: Path) -> None:
    status, said = told(
        tmp_path,
        f"""
kept = []

def test_before():
    pass

def test_leaves():
    kept.append({started})

def test_after():
    kept[0].kill() if hasattr(kept[0], "kill") else end.set()
""",
    )
    assert status == 1, said
    assert "3 passed, 1 error" in said
    assert "ERROR test_it.py::test_leaves" in said
    assert f"left behind: {words}" in said


SERVICE = """
class Service:
    def __init__(self):
        self.begun = []
    def ask(self):  # what it needs begins when it is first asked
        self.begun.append(thread())
    def close(self):
        end.set()
        for each in self.begun:
            each.join()

@pytest.fixture(scope="{scope}")
def service():
    service = Service()
    yield service
    {close}

def test_first(service):
    pass

def test_asks(service):
    service.ask()

def test_last(service):
    pass
"""


@pytest.mark.parametrize("scope", ["module", "session"])
def test_what_a_wider_fixture_begins_late_is_its_own(scope: str, tmp_path: Path) -> None:
    status, said = told(tmp_path, SERVICE.format(scope=scope, close="service.close()"))
    assert (status, "3 passed" in said, "error" in said) == (0, True, False), said


@pytest.mark.parametrize("scope", ["module", "session"])
def test_what_a_wider_fixture_leaves_fails_at_its_end_and_names_the_test(scope: str, tmp_path: Path) -> None:
    status, said = told(tmp_path, SERVICE.format(scope=scope, close="pass"))
    assert status == 1, said
    assert "3 passed, 1 error" in said
    assert "left behind: the thread 'vnyatno-leak', begun in test_it.py::test_asks" in said
