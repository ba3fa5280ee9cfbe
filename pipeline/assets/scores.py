"""Asset `scores`: any bundle on any archive, for the job `evaluate`."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.judging import computing_on
from pipeline.assets.stage import POOL, Stage, picture, result, table
from pipeline.bundling.selection import bundle_id
from pipeline.clips.dataset import ClipSet
from pipeline.launchpad import ScoreConfig, form, settings_of
from speech.files import read_json, write_json

VERSION = 3  # raised when equal inputs and settings give another output


@asset(
    group_name="judgement",
    deps=["clips", "bundle"],
    code_version=str(VERSION),
    config_schema=form(ScoreConfig, "scores"),
    pool=POOL,
)
def scores(context: AssetExecutionContext) -> MaterializeResult:
    """A bundle's figures on every labelled clip of the archive that it was not trained on."""
    from pipeline.defects.pictures import confusion_picture

    config = settings_of(context, ScoreConfig)
    stage = Stage(context, "scores")
    source = stage.after("clips")
    name = bundle_id(config.bundle, stage.home)

    def make(folder: Path) -> dict[str, Any]:
        from pipeline.defects.corpus import Corpus
        from pipeline.defects.judgement import score

        corpus = Corpus(ClipSet.load(source.folder), {}, (), {})
        bundle = stage.home.bundles / name
        with computing_on(config) as (on, _):
            write_json(folder / "metrics.json", score(corpus, bundle, config.batch_size, on, stage.say))
        return {"bundle": name}

    output = stage.build(VERSION, config, {"clips": source.key, "bundle": name}, make)
    metrics = read_json(output.folder / "metrics.json")
    figures = {
        "bundle_id": name,
        "macro_f1": metrics["macro_f1"],
        "majority_macro_f1": metrics["majority_macro_f1"],
        "clips": metrics["clips"],
        "trained_on": metrics["excluded"],
        "per_class": table([{"class": key, **row} for key, row in metrics["per_class"].items()]),
    }
    if "confusion" in metrics:
        figures["confusion"] = picture(confusion_picture(metrics["confusion"], metrics["classes"], name))
    return result(output, figures)
