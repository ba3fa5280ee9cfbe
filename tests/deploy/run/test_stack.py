from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.addresses import AddressError, Addresses
from deploy.run.data_folder import StackError
from deploy.run.health import silent_servers
from deploy.run.parts import ROOT, Part
from deploy.run.processes import MARK, marked
from deploy.run.restart_policy import RestartSchedule
from deploy.run.stack import ChildEndedError, Stack
from speech.home import Home
from tests.deploy.conftest import Clock, accepts, assert_nothing_left, python, web_part


@pytest.fixture
def both(addresses: Addresses) -> list[Part]:
    return [web_part("dagster", addresses.dagster), web_part("service", addresses.service)]


def test_everything_starts_answers_and_ends(data_home: Home, addresses: Addresses, both: list[Part]) -> None:
    with Stack(data_home, addresses, lambda _: both, show=False):
        assert accepts(addresses.dagster)
        assert accepts(addresses.service)
        assert silent_servers(data_home) == []
        assert (data_home.dagster / "dagster.yaml").read_bytes() == (ROOT / "dagster.yaml").read_bytes()
    assert_nothing_left(data_home, addresses)
    assert silent_servers(data_home) == ["launcher"]


def test_parts_start_after_those_they_need(data_home: Home, addresses: Addresses, tmp_path: Path) -> None:
    done = tmp_path / "done"
    task = Part("task", python(f"import time; time.sleep(0.3); open({str(done)!r}, 'w')"), task=True)
    later = web_part(
        "service",
        addresses.service,
        after=("task",),
        then=f"assert os.path.exists({str(done)!r})\nserver.serve_forever()",
    )
    with Stack(data_home, addresses, lambda _: [later, task], show=False) as stack:
        stack.check()  # the task has ended, as it should


def test_a_failed_task_stops_the_start_with_its_last_words(data_home: Home, addresses: Addresses) -> None:
    task = Part("task", python("import sys; sys.exit('the disk is full')"), task=True)
    later = web_part("service", addresses.service, after=("task",))
    with (
        pytest.raises(ChildEndedError, match="task ended with code 1") as ended,
        Stack(data_home, addresses, lambda _: [task, later], show=False),
    ):
        pass
    assert "the disk is full" in str(ended.value)
    assert not (data_home.root / "logs" / "service.log").exists()


def test_a_part_that_ends_while_all_are_started_is_an_error_at_once(data_home: Home, addresses: Addresses) -> None:
    parts = [
        web_part("dagster", addresses.dagster),
        web_part("service", addresses.service, after=("dagster",), then="sys.exit('no such setting')"),
    ]
    clock = Clock()
    with (
        pytest.raises(ChildEndedError, match="service ended with code 1") as ended,
        Stack(data_home, addresses, lambda _: parts, show=False, restarts=RestartSchedule(clock=clock)),
    ):
        pass
    assert "no such setting" in str(ended.value)
    assert (data_home.root / "logs" / "service.log").read_text().count("$ ") == 1
    assert_nothing_left(data_home, addresses)


def test_a_port_in_use_is_an_error_before_anything_starts(
    data_home: Home, addresses: Addresses, both: list[Part]
) -> None:
    with (
        socket.create_server(("127.0.0.1", addresses.service.port)),
        pytest.raises(AddressError, match="VNYATNO_SERVICE_PORT"),
        Stack(data_home, addresses, lambda _: both, show=False),
    ):
        pass
    assert not (data_home.root / "logs").exists()
    assert marked(data_home.root) == []


def test_a_port_that_no_part_uses_may_be_taken(data_home: Home, addresses: Addresses, both: list[Part]) -> None:
    with (
        socket.create_server(("127.0.0.1", addresses.dagster.port)),
        Stack(data_home, addresses, lambda _: both[1:], show=False),
    ):
        assert accepts(addresses.service)


def test_one_launcher_at_a_time_on_a_data_folder(data_home: Home, addresses: Addresses, both: list[Part]) -> None:
    with Stack(data_home, addresses, lambda _: both, show=False):
        other = Stack(data_home, addresses, lambda _: both, show=False)
        with pytest.raises(StackError, match="runs already") as refused, other:
            pass
        assert "VNYATNO_HOME" in str(refused.value)
        assert accepts(addresses.dagster)  # the first one was not touched
        assert silent_servers(data_home) == []


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path, addresses: Addresses, both: list[Part]) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StackError, match="cannot be written") as refused,
        Stack(Home(tmp_path / "file" / "home"), addresses, lambda _: both, show=False),
    ):
        pass
    assert "VNYATNO_HOME" in str(refused.value)


def test_what_a_killed_launcher_left_is_ended_before_the_start(
    data_home: Home, addresses: Addresses, both: list[Part]
) -> None:
    left = web_part("service", addresses.service)
    orphan = subprocess.Popen(left.command, env={MARK: str(data_home.root)}, start_new_session=True)
    while not accepts(addresses.service):
        time.sleep(0.05)
    with Stack(data_home, addresses, lambda _: both, show=False):
        assert orphan.poll() == -signal.SIGTERM
    assert_nothing_left(data_home, addresses)


def test_health_names_the_server_that_is_silent(data_home: Home, addresses: Addresses) -> None:
    closing = web_part(
        "service",
        addresses.service,
        then="server.handle_request()\nserver.server_close()\nimport time; time.sleep(600)",
    )
    with Stack(data_home, addresses, lambda _: [web_part("dagster", addresses.dagster), closing], show=False):
        assert silent_servers(data_home) == ["service"]


def test_health_command(data_home: Home) -> None:
    asked = subprocess.run([sys.executable, "-m", "deploy.run.health"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 1
    assert "launcher" in asked.stderr
