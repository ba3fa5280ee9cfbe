"""Asset `asr_bundle`: the recogniser through the gate, into a folder, into service."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.asr_evaluation import GATE, RECIPE
from pipeline.assets.publishing import put_into_service
from pipeline.assets.stage import POOL, Stage
from pipeline.bundling.making import Making
from pipeline.clips.dataset import ClipSet
from pipeline.evaluation import ANSWERS, METRICS
from pipeline.launchpad import BundleConfig, form, settings_of
from pipeline.recognition import MODEL
from pipeline.recognition.settings import RecogniserSettings
from pipeline.store import read_cause
from speech.bundles.gate import WerGate
from speech.files import digest_of, read_json

VERSION = 1  # raised when equal inputs and settings give another output


@asset(
    group_name="judgement",
    deps=["asr_clips", "recogniser", "asr_evaluation"],
    code_version=str(VERSION),
    config_schema=form(BundleConfig, "asr_bundle"),
    pool=POOL,
)
def asr_bundle(context: AssetExecutionContext) -> MaterializeResult:
    """The bundle that the service transcribes with. A recogniser that the gate refuses leaves no bundle and the
    service as it was."""
    from pipeline.recognition.publication import make_recogniser_bundle

    config = settings_of(context, BundleConfig)
    stage = Stage(context, "asr_bundle")
    source, trained, judged = stage.after("asr_clips"), stage.after("recogniser"), stage.after("asr_evaluation")
    metrics = read_json(judged.folder / METRICS)
    asked = read_cause(judged)["settings"]
    keys = {"asr_clips": source.key, "recogniser": trained.key}
    identity = digest_of([VERSION, keys, asked, config.for_key()])[:12]
    making = Making(
        id=f"{RECIPE}-{identity}",
        run=context.run.run_id,
        gate=WerGate(**{name: asked[name] for name in GATE}, override=config.override_gate),
        lineage=keys | {"asr_evaluation": judged.key},
        recipe=RECIPE,
    )
    training = RecogniserSettings.model_validate(read_cause(trained)["settings"])

    def make() -> None:
        answers, clips = read_json(judged.folder / ANSWERS), ClipSet.load(source.folder)
        make_recogniser_bundle(stage.home, making, trained.folder / MODEL, clips, metrics, answers, config, training)

    figures = {"wer": metrics["wer"], "cer": metrics["cer"]}
    return put_into_service(stage, making, metrics, config, figures, make, compared=asked["compare_champion"])
