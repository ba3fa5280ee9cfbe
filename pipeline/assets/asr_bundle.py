"""Asset `asr_bundle`: the recogniser through the gate, into a folder, into service."""

from collections.abc import Iterator

from dagster import AssetCheckResult, AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.asr_evaluation import RECIPE
from pipeline.assets.publishing import Evaluated, check_specs, identity_of, put_into_service
from pipeline.assets.stage import POOL, Stage
from pipeline.bundling.plan import BundlePlan
from pipeline.clips.dataset import ClipSet
from pipeline.launchpad import AsrBundleConfig, form, settings_of
from pipeline.recognition import MODEL
from pipeline.recognition.settings import RecogniserSettings
from pipeline.store import read_cause

VERSION = 3  # raised when equal inputs and settings give another output
CHECKS = ("maximum_wer", "not_worse_than_champion")


@asset(
    group_name="judgement",
    deps=["asr_clips", "recogniser", "asr_evaluation"],
    code_version=str(VERSION),
    config_schema=form(AsrBundleConfig, "asr_bundle"),
    check_specs=check_specs("asr_bundle", CHECKS),
    pool=POOL,
)
def asr_bundle(context: AssetExecutionContext) -> Iterator[AssetCheckResult | MaterializeResult]:
    """The bundle that the service transcribes with; the gate's conditions as checks. A recogniser that the gate refuses
    leaves no bundle and the service as it was."""
    from pipeline.recognition.publication import make_recogniser_bundle

    config = settings_of(context, AsrBundleConfig)
    stage = Stage(context, "asr_bundle")
    source, trained, evaluated = stage.after("asr_clips"), stage.after("recogniser"), stage.after("asr_evaluation")
    found = Evaluated.read(evaluated, config.gate.max_regression)
    keys = {output.stage: output.key for output in (source, trained)}
    plan = BundlePlan(
        id=f"{RECIPE}-{identity_of(VERSION, keys, config)}",
        run=context.run.run_id,
        gate=config.gate,
        lineage=keys | {"asr_evaluation": evaluated.key},
        recipe=RECIPE,
    )
    training = RecogniserSettings.model_validate(read_cause(trained)["settings"])

    def make() -> None:
        clips = ClipSet.load(source.folder)
        make_recogniser_bundle(
            stage.home, plan, trained.folder / MODEL, clips, found.metrics, found.answers, config, training
        )

    shown = {"wer": found.metrics["wer"], "cer": found.metrics["cer"], "max_wer": config.max_wer}
    yield from put_into_service(stage, plan, found, config, shown, make)
