"""What happens to a part that dies, with toy servers as parts and a clock that the test moves on."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.addresses import Addresses
from deploy.run.claim import StackError
from deploy.run.health import silent_servers
from deploy.run.parts import Part, answers
from deploy.run.processes import marked
from deploy.run.restarts import RestartPolicy, Restarts
from deploy.run.stack import ChildEndedError, Stack
from speech.home import Home
from tests.deploy.conftest import Clock, accepts, assert_nothing_left, python, web_part

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(data_home: Home, addresses: Addresses, clock: Clock) -> Callable[..., Stack]:
    def make(*parts: Part, policy: RestartPolicy | None = None) -> Stack:
        return Stack(data_home, addresses, lambda _: parts, show=False, restarts=Restarts(policy, clock))

    return make


def process_of(home: Home, part: str) -> psutil.Process:
    """The part's own process, of which all others of the part descend."""
    deadline = time.monotonic() + 10
    while not (found := marked(home.root, part)):  # one that was started just now does not show its environment yet
        assert time.monotonic() < deadline
    return min(found, key=lambda process: process.create_time())


def kill(home: Home, part: str) -> None:
    process = process_of(home, part)
    process.kill()
    deadline = time.monotonic() + 10
    while process.status() != psutil.STATUS_ZOMBIE:  # its exit code is for the stack to ask for
        assert time.monotonic() < deadline
        time.sleep(0.01)


def tend_until(stack: Stack, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        stack.tend()
        time.sleep(0.05)


def told(home: Home) -> str:
    return (home.root / "logs" / "launcher.log").read_text()


def starts(home: Home, part: str) -> int:
    return (home.root / "logs" / f"{part}.log").read_text().count("$ ")


def test_a_dead_part_is_started_again_and_the_others_go_on(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock
) -> None:
    parts = web_part("dagster", addresses.dagster), web_part("service", addresses.service)
    with running(*parts) as stack:
        other = process_of(data_home, "dagster").pid
        stack.tend()
        assert told(data_home) == ""
        kill(data_home, "service")
        stack.tend()
        assert silent_servers(data_home) == ["service"]
        assert json.loads((data_home.root / "launcher.json").read_text())["down"] == ["service"]
        (line,) = told(data_home).splitlines()
        assert "service was killed by signal 9; it is started again in 1 s; its last lines: " in line
        assert "listening" in line
        assert str(data_home.root / "logs" / "service.log") in line
        clock.now += 0.9
        stack.tend()
        assert marked(data_home.root, "service") == []
        clock.now += 0.1
        tend_until(stack, lambda: "service is back" in told(data_home))
        assert silent_servers(data_home) == []
        assert process_of(data_home, "dagster").pid == other
        kill(data_home, "service")
        stack.tend()
        assert "service was killed by signal 9; it is started again in 2 s" in told(data_home)
    assert_nothing_left(data_home, addresses)


def test_what_outlives_a_part_is_ended_before_it_is_started_again(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock
) -> None:
    """As workers of a supervisor that was killed outright: they keep the port."""
    inner = web_part("service", addresses.service).command
    code = f"import subprocess, time\nsubprocess.Popen({list(inner)!r}, start_new_session=True)\ntime.sleep(600)"
    parts = (
        Part("service", python(code), ready=lambda: answers(addresses.service.url)),
        web_part("dagster", addresses.dagster),
    )
    with running(*parts) as stack:
        before = {process.pid for process in marked(data_home.root, "service")}
        assert len(before) == 2
        kill(data_home, "service")
        assert accepts(addresses.service)
        stack.tend()
        assert not accepts(addresses.service)
        assert accepts(addresses.dagster)
        clock.now += 1
        tend_until(stack, lambda: "service is back" in told(data_home))
        assert before.isdisjoint(process.pid for process in marked(data_home.root, "service"))
    assert "Address already in use" not in (data_home.root / "logs" / "service.log").read_text()


def test_a_part_that_keeps_dying_is_an_error_with_its_last_words(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    waits = f"server.timeout = 0.1\nwhile not os.path.exists({str(flag)!r}): server.handle_request()"
    dying = web_part("service", addresses.service, then=f"{waits}\nsys.exit('out of memory')")
    with running(web_part("dagster", addresses.dagster), dying) as stack:
        flag.touch()

        def moved_on() -> bool:
            clock.now += 8
            return False

        with pytest.raises(ChildEndedError, match=r"service ended with code 1; it died 5 times within 10 min") as ended:
            tend_until(stack, moved_on)
    assert "out of memory" in str(ended.value)
    assert str(data_home.root / "logs" / "service.log") in str(ended.value)
    assert starts(data_home, "service") == 5
    assert_nothing_left(data_home, addresses)


def test_the_task_before_a_dead_part_is_done_again_and_only_that(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock
) -> None:
    parts = (
        Part("task", python("print('done')"), task=True),
        web_part("dagster", addresses.dagster, after=("task",)),
        web_part("service", addresses.service, after=("dagster",)),
    )
    with running(*parts) as stack:
        kill(data_home, "service")
        stack.tend()
        clock.now += 1
        tend_until(stack, lambda: "service is back" in told(data_home))
        assert starts(data_home, "task") == 1
        kill(data_home, "dagster")
        stack.tend()
        clock.now += 1
        tend_until(stack, lambda: "dagster is back" in told(data_home))
        assert starts(data_home, "task") == 2
        assert starts(data_home, "service") == 2


def test_a_part_that_ends_with_another_is_started_again_after_it(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock
) -> None:
    parts = (
        web_part("dagster", addresses.dagster),
        Part("daemon", python("import time; time.sleep(600)"), after=("dagster",), ends_with=("dagster",)),
        web_part("service", addresses.service, after=("dagster",)),
    )
    with running(*parts) as stack:
        before = {name: process_of(data_home, name).pid for name in ("daemon", "service")}
        kill(data_home, "dagster")
        stack.tend()
        assert marked(data_home.root, "daemon") == []
        assert silent_servers(data_home) == ["dagster", "daemon"]
        clock.now += 1
        tend_until(stack, lambda: silent_servers(data_home) == [])
        assert process_of(data_home, "daemon").pid != before["daemon"]
        assert process_of(data_home, "service").pid == before["service"]


def test_a_part_that_does_not_become_ready_again_counts_as_dead(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock, tmp_path: Path
) -> None:
    once = tmp_path / "once"
    code = f"import os, time\nif os.path.exists({str(once)!r}): time.sleep(600)\nopen({str(once)!r}, 'w')"
    hanging = web_part("service", addresses.service, then=f"{code}\nserver.serve_forever()")
    with running(hanging) as stack:
        kill(data_home, "service")
        stack.tend()
        clock.now += 1
        stack.tend()
        process = process_of(data_home, "service")
        clock.now += 301
        stack.tend()
        assert "service was not ready 300 s after its start; it is started again in 2 s" in told(data_home)
        assert not process.is_running()


def test_a_part_that_cannot_be_started_again_is_tried_again(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    command = shlex.join(web_part("service", addresses.service).command)

    def install() -> None:
        program.write_text(f"#!/bin/sh\nexec {command}\n")
        program.chmod(0o755)

    install()
    with running(Part("service", [str(program)], ready=lambda: answers(addresses.service.url))) as stack:
        kill(data_home, "service")
        program.unlink()
        stack.tend()
        clock.now += 1
        stack.tend()
        assert "service could not be started ([Errno 2] No such file or directory" in told(data_home)
        install()
        clock.now += 2
        tend_until(stack, lambda: "service is back" in told(data_home))


def test_a_part_that_cannot_be_started_at_first_is_an_error(running: Callable[..., Stack]) -> None:
    with pytest.raises(StackError, match="service could not be started"), running(Part("service", ["/nowhere"])):
        pass


def test_a_state_file_that_cannot_be_written_ends_nothing(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock
) -> None:
    """As on a full disk."""
    state = data_home.root / "launcher.json"
    with running(web_part("service", addresses.service)) as stack:
        state.unlink()
        state.mkdir()
        kill(data_home, "service")
        stack.tend()
        assert "launcher.json could not be written" in told(data_home)
        clock.now += 1
        tend_until(stack, lambda: "service is back" in told(data_home))
        state.rmdir()


def test_everything_ends_at_once_while_a_part_waits_for_its_restart(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack]
) -> None:
    parts = web_part("dagster", addresses.dagster), web_part("service", addresses.service)
    with running(*parts, policy=RestartPolicy(first=3600, longest=3600)) as stack:
        kill(data_home, "service")
        stack.tend()
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert_nothing_left(data_home, addresses)


def test_health_names_a_part_without_an_address_that_is_down(
    data_home: Home, addresses: Addresses, running: Callable[..., Stack], clock: Clock
) -> None:
    silent = Part("daemon", python("import time; time.sleep(600)"))
    with running(silent, web_part("dagster", addresses.dagster)) as stack:
        kill(data_home, "daemon")
        stack.tend()
        assert silent_servers(data_home) == ["daemon"]
        clock.now += 1
        tend_until(stack, lambda: silent_servers(data_home) == [])
