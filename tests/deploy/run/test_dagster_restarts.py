"""What becomes of a run under way when a part of Dagster is killed: real processes over toy definitions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from deploy.demo.dagster_runs import Dagster
from deploy.run.parts import dagster_parts
from deploy.run.processes import marked
from deploy.run.restart_policy import RestartPolicy, RestartSchedule
from deploy.run.stack import Stack
from speech.home import Home
from tests.deploy.conftest import TOY, free_addresses

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    addresses, quick = free_addresses(), RestartSchedule(RestartPolicy(first=0.2))
    home = Home(tmp_path_factory.mktemp("dagster") / "home")
    with Stack(home, addresses, lambda code: dagster_parts(addresses, code, TOY), show=False, restarts=quick) as made:
        yield made


@pytest.fixture
def dagster(stack: Stack) -> Dagster:
    return Dagster(stack.addresses.dagster.url, stack.home.dagster)


def tend_until(stack: Stack, condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        stack.tend()
        time.sleep(0.1)


def begun(stack: Stack, dagster: Dagster, seconds: float) -> str:
    """A run whose first stage, which takes so many seconds, has begun."""
    run = dagster.launch("train", {"ops": {"archive": {"config": {"sources": ["a.zip"], "seconds": seconds}}}})
    tend_until(stack, lambda: any(event.kind == "message" for event in dagster.events(run)[0]))
    return run


def kill(stack: Stack, part: str) -> None:
    min(marked(stack.home.root, part), key=lambda process: process.create_time()).kill()
    tend_until(stack, lambda: f"{part} was killed by signal 9" in told(stack))
    tend_until(stack, lambda: f"{part} is back" in told(stack))


def told(stack: Stack) -> str:
    return (stack.logs / "launcher.log").read_text()


def reconciled(stack: Stack) -> int:
    return (stack.logs / "reconcile.log").read_text().count("$ ")


def test_a_run_goes_on_while_the_daemon_is_dead(stack: Stack, dagster: Dagster) -> None:
    run = begun(stack, dagster, 8)
    kill(stack, "daemon")
    assert dagster.run(run).status == "STARTED"
    tend_until(stack, lambda: dagster.run(run).finished)
    assert dagster.run(run).status == "SUCCESS"
    assert reconciled(stack) == 1  # at the start alone: it would have marked a run that goes on


@pytest.mark.system
def test_a_run_that_ended_with_the_code_server_is_retried(stack: Stack, dagster: Dagster) -> None:
    run = begun(stack, dagster, 3)
    before = {process.pid for process in marked(stack.home.root, "code")}
    kill(stack, "code")
    assert before.isdisjoint(process.pid for process in marked(stack.home.root))
    assert reconciled(stack) == 2
    tend_until(stack, lambda: dagster.run(run).retried_as is not None)
    retry = str(dagster.run(run).retried_as)
    tend_until(stack, lambda: dagster.run(retry).finished)
    assert dagster.run(retry).status == "SUCCESS"
