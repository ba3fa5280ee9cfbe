"""The job `rollback` as Dagster runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult

from pipeline.definitions import defs
from speech.home import Home
from speech.serving.history import read_history
from speech.serving.pointer import publish, read_pointer
from tests.bundles import write_tiny_bundle


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def launch(instance: DagsterInstance, **config: str) -> ExecuteInProcessResult:
    run_config = {"ops": {"previous_bundle": {"config": config}}}
    return defs.resolve_job_def("rollback").execute_in_process(run_config, instance, raise_on_error=False)


def reason(result: ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data: Any = event.event_specific_data
    return str(data.user_failure_data.description)


def test_the_bundle_before_serves_again_and_the_run_shows_both(data_home: Home, instance: DagsterInstance) -> None:
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    result = launch(instance)
    assert result.success
    (output,) = [event for event in result.all_node_events if event.is_successful_output]
    metadata = output.step_output_data.metadata
    assert {name: entry.value for name, entry in metadata.items()} == {"bundle_id": "tiny-1", "previous": "tiny-2"}
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert (pointer.current, pointer.previous) == ("tiny-1", "tiny-2")
    assert read_history(data_home)[-1].by == f"Dagster run {result.run_id}"


def test_a_run_that_cannot_fails_with_the_reason(data_home: Home, instance: DagsterInstance) -> None:
    nothing = launch(instance)
    assert not nothing.success
    assert "nothing is in service yet" in reason(nothing)
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    os.truncate(data_home.bundles / "tiny-1" / "model.safetensors", 100)
    before = read_pointer(data_home)
    broken = launch(instance)
    assert not broken.success
    assert "tiny-1/model.safetensors was changed or cut off" in reason(broken)
    assert read_pointer(data_home) == before


def test_a_run_that_was_killed_is_not_tried_again_and_the_ui_explains_the_job() -> None:
    job = defs.resolve_job_def("rollback")
    # The instance retries such runs; this one may have moved the pointer already, and would move it back.
    assert job.tags["dagster/max_retries"] == "0"
    assert "served before" in str(job.description)


def test_each_recipe_has_a_way_back_of_its_own(data_home: Home, instance: DagsterInstance) -> None:
    for name in ("tiny-1", "tiny-2"):
        publish(data_home, write_tiny_bundle(data_home, name).name)
    before = read_pointer(data_home)
    other = launch(instance, recipe="asr")
    assert not other.success
    assert "asr.yaml does not exist" in reason(other)
    assert read_pointer(data_home) == before
