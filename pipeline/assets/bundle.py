"""Asset `bundle`: through the gate, into a folder, into service."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.evaluation import GATE
from pipeline.assets.publishing import put_into_service
from pipeline.assets.stage import POOL, Stage
from pipeline.bundling.making import Making
from pipeline.evaluation import ANSWERS, METRICS
from pipeline.launchpad import BundleConfig, form, settings_of
from pipeline.store import read_cause
from speech.bundles.gate import Gate
from speech.files import digest_of, read_json

VERSION = 8  # raised when equal inputs and settings give another output


@asset(
    group_name="judgement",
    deps=["clips", "markers", "heads", "evaluation"],
    code_version=str(VERSION),
    config_schema=form(BundleConfig, "bundle"),
    pool=POOL,
)
def bundle(context: AssetExecutionContext) -> MaterializeResult:
    """The bundle that the service loads. A model that the gate refuses leaves no bundle and the service as it was."""
    from pipeline.defects.corpus import Corpus
    from pipeline.defects.publication import make_bundle

    config = settings_of(context, BundleConfig)
    stage = Stage(context, "bundle")
    source, counted, trained = stage.after("clips"), stage.after("markers"), stage.after("heads")
    judged = stage.after("evaluation")
    metrics = read_json(judged.folder / METRICS)
    asked = read_cause(judged)["settings"]
    conditions = Gate(**{name: asked[name] for name in GATE}, override=config.override_gate)
    keys = {"clips": source.key, "markers": counted.key, "heads": trained.key}
    identity = digest_of([VERSION, keys, asked, config.for_key()])[:12]
    making = Making(
        id=f"defects-{identity}",
        run=context.run.run_id,
        gate=conditions,
        lineage=keys | {"evaluation": judged.key},
    )

    def make() -> None:
        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        answers, names = read_json(judged.folder / ANSWERS), counted.summary["class_names"]
        make_bundle(stage.home, making, trained.folder, corpus, metrics, answers, config, names)

    figures = {"macro_f1": metrics["macro_f1"]}
    return put_into_service(stage, making, metrics, config, figures, make, compared=asked["compare_champion"])
