"""Check `input_drift` of the bundle: whether what the service is sent is still like what it was trained on."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, MetadataValue, asset_check

from pipeline.launchpad import WatchConfig
from speech.home import home


@asset_check(asset="bundle", name="input_drift")
def input_drift(context: AssetCheckExecutionContext, config: WatchConfig) -> AssetCheckResult:
    """The newest answers of the service's workers against the training clips and the test split of its bundle."""
    from pipeline.drift import input_drift as look

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
