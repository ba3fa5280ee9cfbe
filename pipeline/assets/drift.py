"""Check `input_drift` of the bundle: whether what the service is sent is still like what it was trained on.

Every hour the job `watch` makes it, where there is something to look at.
"""

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    DefaultScheduleStatus,
    MetadataValue,
    RunRequest,
    ScheduleEvaluationContext,
    SkipReason,
    asset_check,
    schedule,
)

from pipeline.bundling.settings import WatchSettings
from pipeline.launchpad import WatchConfig
from speech.home import home


@asset_check(asset="bundle", name="input_drift")
def input_drift(context: AssetCheckExecutionContext, config: WatchConfig) -> AssetCheckResult:
    """The newest answers of the service's workers against the training clips and the test split of its bundle."""
    from pipeline.bundling.drift import input_drift as look

    report = look(home(), config.settings())
    context.log.info(f"input_drift: {report.summary}")
    return AssetCheckResult(
        passed=report.passed,
        severity=AssetCheckSeverity.WARN,  # another population is no fault of the bundle, and stops nothing
        description=report.summary,
        metadata={
            "bundle_id": report.bundle or "none",
            "answers": report.answers,
            "workers": report.workers,
            "figures": MetadataValue.md(report.markdown()),
            "left_out": MetadataValue.md("\n".join(f"- {line}" for line in report.left_out) or "none"),
        },
    )


@schedule(job_name="watch", cron_schedule="7 * * * *", default_status=DefaultScheduleStatus.RUNNING)
def hourly_watch(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
    """Every hour, if the service counted answers enough of its bundle, and new ones since the last hour."""
    from pipeline.bundling.drift import nothing_to_watch

    reason = nothing_to_watch(home(), WatchSettings())
    return RunRequest() if reason is None else SkipReason(reason)
