"""The client against a real web server, daemon and code server over toy definitions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster_shared.error import SerializableErrorInfo

from deploy.demo.dagster_runs import Dagster, DagsterError, Run, error_message
from deploy.run.stack import Stack

pytestmark = pytest.mark.timeout(600)  # starting Dagster takes 15 s, and minutes on a machine that does more besides


def config(**settings: Any) -> dict[str, Any]:
    return {"ops": {"archive": {"config": {"sources": ["a.zip"], **settings}}}}


@pytest.fixture
def dagster(running_dagster: Stack) -> Dagster:
    return Dagster(running_dagster.addresses.dagster.url, running_dagster.home.dagster)


def finish(dagster: Dagster, run_id: str) -> Run:
    deadline = time.monotonic() + 300
    while not (run := dagster.run(run_id)).finished:
        assert time.monotonic() < deadline, run
        time.sleep(0.3)
    return run


def test_a_run_is_launched_followed_and_read(dagster: Dagster) -> None:
    run_id = dagster.launch("train", config(), {"who": "test"})
    assert dagster.stages(run_id) == ["archive", "evaluation"]
    assert finish(dagster, run_id) == Run("SUCCESS")
    events, cursor = dagster.events(run_id)
    archive = [(event.kind, event.message) for event in events if event.stage == "archive"]
    assert [kind for kind, _ in archive] == ["started", "message", "materialized", "succeeded"]
    assert ("message", "archive: 1 of 1 files") in archive
    assert all(abs(event.at - time.time()) < 600 for event in events)
    assert dagster.events(run_id, cursor)[0] == []
    assert dagster.metadata(run_id) == {
        "archive": {"bundle_id": "toy-1", "macro_f1": 0.75, "clips": 12},
        "evaluation": {"example_clip": "/nowhere/clip.wav", "examples": '[{"class": "burr"}]'},
    }


def test_a_failure_is_told_in_the_stages_own_words(dagster: Dagster) -> None:
    run_id = dagster.launch("train", config(fail=True))
    finish(dagster, run_id)
    deadline = time.monotonic() + 60
    while dagster.run(run_id).will_retry and time.monotonic() < deadline:  # until Dagster has decided
        time.sleep(0.2)
    assert dagster.run(run_id) == Run("FAILURE", will_retry=False)
    assert dagster.failure(run_id) == "archive: a.zip: there is no such file; check the path"


def test_a_running_run_can_be_stopped(dagster: Dagster) -> None:
    run_id = dagster.launch("train", config(seconds=300.0))
    deadline = time.monotonic() + 300
    while not any(event.kind == "message" for event in dagster.events(run_id)[0]):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    dagster.terminate(run_id)
    assert finish(dagster, run_id).status == "CANCELED"


@pytest.mark.parametrize(
    ("settings", "field"), [({"sources": 3}, "sources"), ({"speed": 1}, "speed"), ({"fail": "perhaps"}, "fail")]
)
def test_a_configuration_that_does_not_fit_is_refused_naming_the_field(
    dagster: Dagster, settings: Mapping[str, Any], field: str
) -> None:
    with pytest.raises(DagsterError, match=field):
        dagster.launch("train", config(**settings))


def test_an_unknown_job_is_refused_naming_the_known_ones(dagster: Dagster) -> None:
    with pytest.raises(DagsterError, match="there is no job fly; there are train"):
        dagster.launch("fly", {})


def test_an_unknown_run_is_an_error(dagster: Dagster) -> None:
    with pytest.raises(DagsterError, match="nowhere"):
        dagster.run("nowhere")


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DagsterError, match=r"127\.0\.0\.1:9 gave no answer"):
        Dagster("http://127.0.0.1:9", tmp_path).launch("train", config())


def test_runs_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    (folder / "history").mkdir(parents=True)
    (folder / "history" / "runs.db").write_bytes(b"no database" * 100)
    with pytest.raises(DagsterError, match="cannot be read"):
        Dagster("http://127.0.0.1:9", folder).run("x")


def test_the_message_is_that_of_the_first_error_that_is_not_dagsters() -> None:
    cause = SerializableErrorInfo("OSError: not a zip", [], "OSError")
    own = SerializableErrorInfo("pipeline.ZipError: a.zip: no zip; check it\n", [], "ZipError", cause)
    wrapper = SerializableErrorInfo("Error occurred while executing", [], "DagsterExecutionStepExecutionError", own)
    assert error_message(wrapper) == "a.zip: no zip; check it"
    assert error_message(None) == ""
    alone = SerializableErrorInfo("broken", [], "DagsterInvariantViolationError")
    assert error_message(alone) == "broken"
