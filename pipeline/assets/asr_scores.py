"""Asset `asr_scores`: any recogniser's bundle on any archive with texts, for the job `asr_evaluate`."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.asr_evaluation import COMPARED, RECIPE, error_metrics
from pipeline.assets.judging import computing_on
from pipeline.assets.stage import POOL, Stage, result
from pipeline.bundling.selection import bundle_id
from pipeline.clips.dataset import ClipSet
from pipeline.launchpad import ScoreConfig, form, settings_of
from speech.files import digest_of, read_json, write_json
from speech.text.language import load_language

VERSION = 2  # raised when equal inputs and settings give another output


@asset(
    group_name="judgement",
    deps=["asr_clips", "asr_bundle"],
    code_version=str(VERSION),
    config_schema=form(ScoreConfig, "asr_scores"),
    pool=POOL,
)
def asr_scores(context: AssetExecutionContext) -> MaterializeResult:
    """A recogniser's word error rate on every recording of the archive with a text that it was not trained on."""
    config = settings_of(context, ScoreConfig)
    stage = Stage(context, "asr_scores")
    source = stage.after("asr_clips")
    clips = ClipSet.load(source.folder)
    name = bundle_id(config.bundle, stage.home, RECIPE)

    def make(folder: Path) -> dict[str, Any]:
        from pipeline.recognition.judgement import score_bundle

        bundle = stage.home.bundles / name
        with computing_on(config) as (on, _):
            figures = score_bundle(clips, bundle, config.batch_size, on, stage.say)
        write_json(folder / "metrics.json", figures)
        return {"bundle": name}

    rules = digest_of(load_language(clips.language).model_dump(mode="json", include=COMPARED))
    inputs = {"asr_clips": source.key, "bundle": name, "normalisation": rules}
    output = stage.build(VERSION, config, inputs, make)
    metrics = read_json(output.folder / "metrics.json")
    figures = {"bundle_id": name, "trained_on": metrics["excluded"]} | error_metrics(metrics)
    return result(output, {key: value for key, value in figures.items() if value is not None})
