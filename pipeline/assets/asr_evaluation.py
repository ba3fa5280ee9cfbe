"""Asset `asr_evaluation`: the recogniser on utterances that nothing was chosen by."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from pipeline.assets.judging import champion_of, computing_on, in_service
from pipeline.assets.stage import POOL, Stage, picture, result, table
from pipeline.clips.dataset import ClipSet
from pipeline.evaluation import EXAMPLE, METRICS
from pipeline.launchpad import Comet, JudgingConfig, form, settings_of
from pipeline.recognition import MODEL
from speech.files import digest_of, read_json
from speech.home import Recipe
from speech.text.language import load_language

VERSION = 3  # raised when equal inputs and settings give another output
RECIPE = Recipe.asr
COMPARED = {"transcripts", "ignored", "alphabet"}  # of a language: by what texts are normalised
_ROWS = 50  # of a table in the UI; the report and metrics.json hold more


@asset(
    group_name="judgement",
    deps=["asr_clips", "recogniser"],
    code_version=str(VERSION),
    config_schema=form(JudgingConfig, "asr_evaluation"),
    pool=POOL,
)
def asr_evaluation(context: AssetExecutionContext, comet: Comet) -> MaterializeResult:
    """Word error rate on the test split, by the very function that serves."""
    config = settings_of(context, JudgingConfig)
    stage = Stage(context, "asr_evaluation")
    source, trained = stage.after("asr_clips"), stage.after("recogniser")
    champion, left_out = champion_of(stage.home, config, trained.key, RECIPE)
    clips = ClipSet.load(source.folder)

    def make(folder: Path) -> dict[str, Any]:
        from pipeline.recognition.judgement import evaluate

        with computing_on(config) as (on, computed_in):
            found = evaluate(
                clips,
                trained.folder / MODEL,
                champion,
                left_out,
                config.batch_size,
                on,
                stage.say,
            )
        found.metrics["arithmetic"] = computed_in
        found.metrics["champion"]["in_service"] = in_service(stage.home, RECIPE)
        found.metrics["validation_wer"] = trained.summary.get("validation_wer")
        found.write(folder)
        with stage.tracked(comet, config) as tracker:
            tracker.metrics({name: found.metrics[name] for name in ("wer", "cer")}, 0)
        return {"comet": tracker.finish()}

    inputs = {
        "asr_clips": source.key,
        "recogniser": trained.key,
        "champion": champion.name if champion else (left_out or ""),
        "normalisation": digest_of(load_language(clips.language).model_dump(mode="json", include=COMPARED)),
    }
    output = stage.build(VERSION, config, inputs, make)
    metrics = read_json(output.folder / METRICS)
    return result(output, shown(metrics, output.folder))


def shown(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An evaluation in the UI."""
    from pipeline.recognition.judgement import BY_LENGTH, BY_SPEAKER
    from pipeline.recognition.report import REPORT

    worst = [
        {"said": row["reference"], "heard": row["text"], "errors": row["errors"], "words": row["words"]}
        | {"seconds": round(row["seconds"], 1), "speaker": row["speaker"] or "unknown", "file": row["file"]}
        for row in metrics["worst"]
    ]
    figures = error_metrics(metrics) | {
        "validation_wer": metrics["validation_wer"],
        "speakers_known": metrics["speakers_known"],
        "wer_by_length": picture((folder / BY_LENGTH).read_bytes()),
        "worst": table(worst),
        "report": MetadataValue.path(str(folder / REPORT)),
        "champion": MetadataValue.json(metrics["champion"]),
        "example_clip": MetadataValue.path(str(folder / EXAMPLE)),
        "example_text": metrics["example"]["text"],
    }
    if metrics["by_speaker"]:
        figures["wer_by_speaker"] = picture((folder / BY_SPEAKER).read_bytes())
    return {name: value for name, value in figures.items() if value is not None}


def error_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Rates and kinds of error in the UI; None where a figure is not known."""
    from pipeline.recognition.breakdown import shown_length, shown_rate

    lengths = [
        {"length": shown_length(row), "clips": row["clips"], "words": row["words"], "wer": shown_rate(row)}
        for row in metrics["by_length"]
    ]
    return {
        "wer": metrics["wer"],
        "wer_low": metrics["interval"]["low"],
        "wer_high": metrics["interval"]["high"],
        "cer": metrics["cer"],
        "raw_wer": metrics["raw_wer"],
        "raw_cer": metrics["raw_cer"],
        "clips": metrics["clips"],
        "words": metrics["words"],
        "speakers": metrics["speakers"],
        **metrics["errors"],
        "confusions": table(metrics["confusions"]),
        "by_length": table(lengths),
        "by_speaker": table(metrics["by_speaker"][:_ROWS]),
    }
