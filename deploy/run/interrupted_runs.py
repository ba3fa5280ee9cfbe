"""Puts runs in order whose processes are gone: `python -m deploy.run.interrupted_runs`.

The launcher calls it before code server and daemon start. A launcher or a code server that was killed leaves such runs.
Dagster itself would show them as running for ever, and the queue would wait for them.
"""

from __future__ import annotations

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.events import JobFailureData, RunFailureReason

INTERRUPTED = "Vnyatno was stopped while this run was going on."
POOL = "training"  # of the pipeline's stages, see pipeline/assets/stage.py
_UNDER_WAY = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def put_in_order(instance: DagsterInstance) -> list[DagsterRun]:
    """Mark runs under way as failed, so that they are retried (dagster.yaml), those being canceled as canceled.

    To be called only while no run can be under way. Returns the runs that were marked.
    """
    runs = instance.get_runs(filters=RunsFilter(statuses=_UNDER_WAY))
    for run in runs:
        if run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, INTERRUPTED)
        else:
            reason = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
            instance.report_run_failed(run, INTERRUPTED, reason)
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return list(runs)


def limit_pool(instance: DagsterInstance, pool: str = POOL) -> None:
    """Give a pool that is not known yet the limit of dagster.yaml.

    The daemon would do it as well, but only after a first look at the queue in which it lets all runs of the pool go.
    """
    if pool not in {known.name for known in instance.event_log_storage.get_pool_limits()}:
        instance.event_log_storage.initialize_concurrency_limit_to_default(pool)


def main() -> int:
    with DagsterInstance.get() as instance:
        limit_pool(instance)
        for run in put_in_order(instance):
            print(f"run {run.run_id} of job {run.job_name} was under way when Vnyatno was stopped: marked", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
