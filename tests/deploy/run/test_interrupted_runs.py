from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.instance.config import PoolGranularity
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import RunOpConcurrency
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from deploy.run.interrupted_runs import INTERRUPTED, POOL, limit_pool, put_in_order
from deploy.run.parts import ROOT


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
    assert [one.run_id for one in put_in_order(instance)] == [run.run_id]
    after = instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status == DagsterRunStatus.FAILURE
    assert after.tags["dagster/will_retry"] == "true"
    assert INTERRUPTED in [event.message for event in instance.all_logs(run.run_id)]


def test_a_run_that_was_being_canceled_is_canceled(instance: DagsterInstance) -> None:
    run = create_run_for_test(instance, "train", status=DagsterRunStatus.CANCELING)
    put_in_order(instance)
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
    assert put_in_order(instance) == []
    assert [run.status for run in map(instance.get_run_by_id, (run.run_id for run in runs)) if run] == states


def test_the_instance_runs_one_training_at_a_time_and_stays_on_this_machine(
    instance: DagsterInstance, tmp_path: Path
) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == 4
    pools = instance.get_concurrency_config().pool_config
    assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.RUN)
    assert not instance.telemetry_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert (tmp_path / "history" / "runs.db").exists()


def test_the_stages_pool_has_its_limit_before_the_queue_is_looked_at(instance: DagsterInstance) -> None:
    assert instance.event_log_storage.get_pool_limits() == []
    limit_pool(instance)
    ((name, limit),) = [(pool.name, pool.limit) for pool in instance.event_log_storage.get_pool_limits()]
    assert (name, limit) == (POOL, 1)


def test_of_two_trainings_queued_on_a_fresh_data_folder_one_is_let_go(instance: DagsterInstance) -> None:
    pooled = RunOpConcurrency(root_key_counts={POOL: 1}, has_unconstrained_root_nodes=False, all_pools={POOL})
    code = GrpcServerCodeLocationOrigin("localhost", socket="/nowhere", location_name="vnyatno")
    origin = RemoteRepositoryOrigin(code, "__repository__").get_job_origin("train")
    queued = {"status": DagsterRunStatus.QUEUED, "remote_job_origin": origin, "run_op_concurrency": pooled}
    for _ in range(2):
        instance.add_run(DagsterRun("train", str(uuid4()), **queued))
    limit_pool(instance)
    queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
    assert len(queue._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)) == 1


def test_a_limit_that_somebody_set_stays(instance: DagsterInstance) -> None:
    instance.event_log_storage.set_concurrency_slots(POOL, 2)
    limit_pool(instance)
    assert [pool.limit for pool in instance.event_log_storage.get_pool_limits()] == [2]
