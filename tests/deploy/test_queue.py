"""Which runs wait for which in Dagster's queue, with the real definitions: a training whose archive never comes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deploy.demo.dagster_runs import Dagster
from deploy.run.parts import dagster_parts
from deploy.run.stack import Stack
from speech.home import Home
from tests.deploy.conftest import free_addresses
from tests.deploy.dagster_pages import ask

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""


SCHEDULES = """
query Schedules {
  schedulesOrError(repositorySelector: {repositoryLocationName: "vnyatno", repositoryName: "__repository__"}) {
    ... on Schedules { results { name pipelineName scheduleState { status } } }
  }
}
"""


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    addresses = free_addresses()
    home = Home(tmp_path_factory.mktemp("queue") / "home")
    with Stack(home, addresses, lambda code: dagster_parts(addresses, code), show=False):
        yield Dagster(addresses.dagster.url, home.dagster)


@pytest.fixture
def silent_archive() -> Iterator[dict[str, Any]]:
    """The configuration of an archive whose server takes the connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = f"http://127.0.0.1:{server.getsockname()[1]}/slow.zip"
        yield {"config": {"sources": [source], "allow_private_network": True, "timeout_seconds": 3600.0}}


def materialise(dagster: Dagster, asset: str, run_config: dict[str, Any]) -> str:
    """What the button of the asset graph does."""
    selector = {
        "repositoryLocationName": "vnyatno",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": [asset]}],
    }
    parameters = {"selector": selector, "runConfigData": run_config, "mode": "default"}
    return str(ask(dagster.url, LAUNCH, {"parameters": parameters})["launchRun"]["run"]["runId"])


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.system
def test_a_rollback_waits_for_no_training_and_trainings_wait_for_each_other(
    dagster: Dagster, silent_archive: dict[str, Any]
) -> None:
    # All three before the daemon has looked at the queue for the first time since the pool came to be.
    runs = [
        dagster.launch("train", {"ops": {"archive": silent_archive}}),
        dagster.launch("asr", {"ops": {"asr_archive": silent_archive}}),
        materialise(dagster, "archive", {"ops": {"archive": silent_archive}}),
    ]
    until(lambda: dagster.run(runs[0]).status == "STARTED")
    light = [dagster.launch("rollback", {}), dagster.launch("watch", {})]
    until(lambda: all(dagster.run(run).finished for run in light))
    assert "the service stays as it is" in dagster.failure(light[0])  # it did run: there is no bundle
    assert dagster.run(light[1]).status == "SUCCESS"
    assert [dagster.run(run).status for run in runs] == ["STARTED", "QUEUED", "QUEUED"]
    dagster.terminate(runs[0])
    until(lambda: dagster.run(runs[1]).status == "STARTED")
    assert [dagster.run(run).status for run in runs] == ["CANCELED", "STARTED", "QUEUED"]


def test_the_schedule_of_watch_is_on_in_a_fresh_data_folder(dagster: Dagster) -> None:
    (schedule,) = ask(dagster.url, SCHEDULES, {})["schedulesOrError"]["results"]
    assert schedule == {"name": "hourly_watch", "pipelineName": "watch", "scheduleState": {"status": "RUNNING"}}
