"""Puts runs in order that a killed launcher left behind: `python -m deploy.reconcile`, before the daemon starts.

Dagster itself would show them as running for ever, and the queue would wait for them.
"""

from __future__ import annotations

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.events import JobFailureData, RunFailureReason

INTERRUPTED = "Vnyatno was stopped while this run was going on."
_UNDER_WAY = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def reconcile(instance: DagsterInstance) -> list[DagsterRun]:
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


def main() -> int:
    with DagsterInstance.get() as instance:
        for run in reconcile(instance):
            print(f"run {run.run_id} of job {run.job_name} was under way when Vnyatno was stopped: marked", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
