from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from deploy.parts import ROOT
from deploy.reconcile import INTERRUPTED, reconcile


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """An instance with the project's own dagster.yaml."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with DagsterInstance.get() as one:
        yield one


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])
def test_a_run_under_way_is_failed_and_will_be_retried(instance: DagsterInstance, status: DagsterRunStatus) -> None:
    run = create_run_for_test(instance, "train", status=status)
    assert [one.run_id for one in reconcile(instance)] == [run.run_id]
    after = instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status == DagsterRunStatus.FAILURE
    assert after.tags["dagster/will_retry"] == "true"
    assert INTERRUPTED in [event.message for event in instance.all_logs(run.run_id)]


def test_a_run_that_was_being_canceled_is_canceled(instance: DagsterInstance) -> None:
    run = create_run_for_test(instance, "train", status=DagsterRunStatus.CANCELING)
    reconcile(instance)
    after = instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status == DagsterRunStatus.CANCELED


def test_other_runs_are_left_alone(instance: DagsterInstance) -> None:
    states = [
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.SUCCESS,
        DagsterRunStatus.FAILURE,
        DagsterRunStatus.CANCELED,
    ]
    runs = [create_run_for_test(instance, "train", status=status) for status in states]
    assert reconcile(instance) == []
    assert [run.status for run in map(instance.get_run_by_id, (run.run_id for run in runs)) if run] == states


def test_the_instance_runs_one_training_at_a_time_and_stays_on_this_machine(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == 1
    assert not instance.telemetry_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert (tmp_path / "history" / "runs.db").exists()
