"""No test leaves a thread or a child process behind: whatever is started has an end, and a test sees to it.

A pytest plugin. At the end of each test it holds the threads and children there are against those at its beginning.
While fixtures of a wider scope live (a module's service, say), what is new may be theirs: then it is looked at when the
module has ended, or the session, and the test during which it began is named.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Literal

import psutil
import pytest

Scope = Literal["function", "module", "session"]

GRACE_SECONDS = 5.0  # what was told to end may take so long, on an overloaded machine too
_LOOK_SECONDS = 0.02

# Threads that libraries keep on purpose, until the process ends.
KEPT_THREADS = (
    re.compile(r"Dummy-\d+"),  # a library's own thread that has called Python once: not Python's to end
    re.compile(r"fsspecIO"),  # fsspec's event loop, one a process
    # google-cloud-storage's questions where a bucket is and whether it is there; they end with the answer
    re.compile(r"\((_fetch|_verify_existence)_background\)"),
    re.compile(r"tqdm_monitor"),  # of progress bars, one a process
)
# Children that libraries keep on purpose, by their command.
KEPT_CHILDREN = (
    re.compile(r"multiprocessing\.resource_tracker"),  # one a process; it ends with it
)


def running() -> dict[Hashable, str]:
    """What runs beside the main thread of this process: threads and children, with words to tell them by."""
    threads = {thread: f"the thread {thread.name!r}" for thread in threading.enumerate()}
    return {**_without(threads, KEPT_THREADS, lambda thread: thread.name), **_children()}


def _without(found: dict[Any, str], kept: tuple[re.Pattern[str], ...], name: Callable[[Any], str]) -> dict[Any, str]:
    return {each: told for each, told in found.items() if not any(form.search(name(each)) for form in kept)}


def _children() -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    for child in psutil.Process().children():
        try:
            command = " ".join(child.cmdline())
            ended = child.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:  # it ends just now
            continue
        if not ended and not any(form.search(command) for form in KEPT_CHILDREN):
            found[child] = f"the process {child.pid}, {command[:120]!r}"
    return found


class Leftovers:
    """What a test session has running, and which fixtures may be the reason."""

    def __init__(self) -> None:
        self._wide: set[Any] = set()  # living fixtures of modules and of the session
        self._began: dict[Hashable, str] = {}  # during which test, of what was left
        self._told: set[Hashable] = set()  # once is enough

    def set_up(self, fixture: pytest.FixtureDef[Any]) -> None:
        """A fixture begins; those of plugins start nothing of ours."""
        if fixture.scope != "function" and fixture.baseid:
            self._wide.add(fixture)

    def torn_down(self, fixture: pytest.FixtureDef[Any]) -> None:
        """A fixture has ended."""
        self._wide.discard(fixture)

    def watch(self, scope: Scope, test: str) -> Iterator[None]:
        """Fails where something is left that was not there before and that no wider fixture may own."""
        before = running()
        yield
        left = self._left(before, self._owned(scope))
        for each in left:
            self._began.setdefault(each, test)
        if left and not self._owned(scope):
            self._told |= left.keys()
            told = "; ".join(f"{words}, begun in {self._began[each]}" for each, words in left.items())
            pytest.fail(f"left behind: {told}. Close what was opened", pytrace=False)

    def _owned(self, scope: Scope) -> bool:
        wider = {"function": ("class", "module", "package", "session"), "module": ("session",), "session": ()}[scope]
        return any(fixture.scope in wider for fixture in self._wide)

    def _left(self, before: dict[Hashable, str], owned: bool) -> dict[Hashable, str]:
        deadline = time.monotonic() + (0.0 if owned else GRACE_SECONDS)
        while True:
            left = {each: words for each, words in running().items() if each not in before and each not in self._told}
            if not left or time.monotonic() >= deadline:
                return left
            time.sleep(_LOOK_SECONDS)


_KEY = pytest.StashKey[Leftovers]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KEY] = Leftovers()


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    request.config.stash[_KEY].set_up(fixturedef)


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    request.config.stash[_KEY].torn_down(fixturedef)


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers_of_the_session(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from request.config.stash[_KEY].watch("session", "this session")


@pytest.fixture(scope="module", autouse=True)
def _no_leftovers_of_the_module(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from request.config.stash[_KEY].watch("module", request.node.nodeid)


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from request.config.stash[_KEY].watch("function", request.node.nodeid)
