"""Asset `bundle`: through the gate, into a folder, into service."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, MetadataValue, asset

from pipeline.assets.evaluation import GATE
from pipeline.assets.stage import Stage
from pipeline.evaluation import ANSWERS, METRICS
from pipeline.launchpad import BundleConfig
from pipeline.store import read_cause
from speech.bundle import verify
from speech.files import digest_of, read_json
from speech.gate import Gate, failed, require
from speech.publishing import publish

VERSION = 8  # raised when equal inputs and settings give another output


@asset(group_name="judgement", deps=["clips", "markers", "heads", "evaluation"], code_version=str(VERSION))
def bundle(context: AssetExecutionContext, config: BundleConfig) -> MaterializeResult:
    """The bundle that the service loads. A model that the gate refuses leaves no bundle and the service as it was."""
    from pipeline.corpus import Corpus
    from pipeline.publication import Making, make_bundle, require_fresh

    stage = Stage(context, "bundle")
    source, counted, trained = stage.after("clips"), stage.after("markers"), stage.after("heads")
    judged = stage.after("evaluation")
    metrics = read_json(judged.folder / METRICS)
    asked = read_cause(judged)["settings"]
    conditions = Gate(**{name: asked[name] for name in GATE}, override=config.override_gate)
    keys = {"clips": source.key, "markers": counted.key, "heads": trained.key}
    identity = digest_of([VERSION, keys, asked, config.identity()])[:12]
    making = Making(
        id=f"defects-{identity}",
        run=context.run.run_id,
        gate=conditions,
        lineage=keys | {"evaluation": judged.key},
        class_names=counted.summary["class_names"],
    )
    for refusal in failed(require(conditions, metrics)):  # nothing fails here without an override
        context.log.warning(f"gate OVERRIDDEN ({conditions.override}): {refusal}")
        stage.say(f"bundle: gate OVERRIDDEN ({conditions.override}): {refusal}")
    if asked["compare_champion"]:
        require_fresh(stage.home, making, metrics)
    folder = stage.home.bundles / making.id
    reused = folder.exists()
    if reused:
        verify(folder)
        stage.say(f"bundle: {making.id} stands already and is whole")
    else:
        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        make_bundle(stage.home, making, trained.folder, corpus, metrics, read_json(judged.folder / ANSWERS), config)
        stage.say(f"bundle: {making.id} is written, loads, and answers as it was measured")
    if config.publish:
        publish(stage.home, making.id, by=f"Dagster run {context.run.run_id}")
        stage.say(f"bundle: {making.id} is in service")
    return MaterializeResult(
        metadata={
            "bundle_id": making.id,
            "published": config.publish,
            "reused": reused,
            "macro_f1": metrics["macro_f1"],
            "folder": MetadataValue.path(str(folder)),
            "card": MetadataValue.md((folder / "README.md").read_text(encoding="utf-8")),
        },
        data_version=DataVersion(making.id),
    )
