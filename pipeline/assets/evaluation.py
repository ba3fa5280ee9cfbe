"""Asset `evaluation`: the model on speakers it never heard, beside the bundle in service."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from pipeline.assets.judging import champion_of, computing_on, in_service
from pipeline.assets.stage import POOL, Stage, picture, result, table
from pipeline.evaluation import DECISIONS, EXAMPLE, METRICS, RELIABILITY, RISK_COVERAGE, SHOWCASE
from pipeline.launchpad import Comet, JudgingConfig, form, settings_of
from speech.files import read_json

VERSION = 15  # raised when equal inputs and settings give another output


@asset(
    group_name="judgement",
    deps=["clips", "markers", "heads", "calibration"],
    code_version=str(VERSION),
    config_schema=form(JudgingConfig, "evaluation"),
    pool=POOL,
)
def evaluation(context: AssetExecutionContext, comet: Comet) -> MaterializeResult:
    """Figures on the test split, made by the very function that serves."""
    config = settings_of(context, JudgingConfig)
    stage = Stage(context, "evaluation")
    source, counted, trained = stage.after("clips"), stage.after("markers"), stage.after("heads")
    calibrated = stage.after("calibration")
    champion, left_out = champion_of(stage.home, config, trained.key)

    def make(folder: Path) -> dict[str, Any]:
        from pipeline.defects.calibration import load_calibration
        from pipeline.defects.corpus import Corpus
        from pipeline.defects.judgement import evaluate
        from pipeline.defects.weights import read_spec

        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        with computing_on(config) as (on, computed_in):
            report = evaluate(
                corpus,
                trained.folder,
                champion,
                left_out,
                config.batch_size,
                on,
                stage.say,
                load_calibration(calibrated.folder, read_spec(trained.folder)),
            )
        report.metrics["arithmetic"] = computed_in
        report.metrics["champion"]["in_service"] = in_service(stage.home)
        report.write(folder)
        with stage.tracked(comet, config) as tracker:
            tracker.metrics({"macro_f1": report.metrics["macro_f1"]}, 0)
            if "confusion" in report.metrics:
                tracker.confusion(report.metrics["confusion"], report.metrics["classes"])
        return {"comet": tracker.finish()}

    inputs = {
        "clips": source.key,
        "markers": counted.key,
        "heads": trained.key,
        "calibration": calibrated.key,
        "champion": champion.name if champion else (left_out or ""),
    }
    output = stage.build(VERSION, config, inputs, make)
    metrics = read_json(output.folder / METRICS)
    return result(output, shown(metrics, output.folder) | shown_per_defect(metrics))


def shown_precisions(precisions: dict[str, dict[str, Any]]) -> str:
    """Which precisions may serve, for people."""
    from speech.defects.agreement import Agreement

    rows = [f"{name} {Agreement(**figures).outcome}" for name, figures in precisions.items()]
    return "; ".join(rows) or "fp32 alone"


def shown(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An evaluation in the UI."""
    from pipeline.defects.pictures import confusion_picture
    from pipeline.defects.showcase import RULE
    from pipeline.evaluation.groups import shown_groups

    markers, champion = metrics["markers"], metrics["champion"]
    rows = [{"class": name, **row} for name, row in metrics["per_class"].items()]
    figures = {
        "macro_f1": metrics["macro_f1"],
        "majority_macro_f1": metrics["majority_macro_f1"],
        "test_clips": metrics["clips"],
        "precisions": shown_precisions(metrics["precisions"]),
        "test_speakers": metrics["speakers"],
        "speakers_known": metrics["speakers_known"],
        "marker_mae": markers["mae"],
        "marker_mae_of_mean": markers["mae_of_mean"],
        "marker_clips": markers["clips"],
        "marker_unmeasured": markers["unmeasured"],
        "marker_mae_by_text": markers["by_text"]["mae"],
        "marker_mae_of_mean_by_text": markers["by_text"]["mae_of_mean"],
        "per_class": table(rows),
        "groups": table(shown_groups(metrics["groups"])) if metrics["groups"] else "the table names no speaker groups",
        "confusion": picture(confusion_picture(metrics["confusion"], metrics["classes"], "test speakers"))
        if "confusion" in metrics
        else None,
        "champion": MetadataValue.json(champion),
        "showcase": picture((folder / SHOWCASE).read_bytes()),
        "showcase_rule": RULE,
    } | honesty(metrics["calibration"], folder)
    if (folder / EXAMPLE).exists():
        figures |= {
            "example_clip": MetadataValue.path(str(folder / EXAMPLE)),
            "example_label": metrics["example"]["label"],
        }
    figures["examples"] = MetadataValue.json([with_path(row, folder) for row in metrics["examples"]])
    return {name: value for name, value in figures.items() if value is not None}


def with_path(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A class's test clip, its sound by the whole path."""
    return row | ({"sound": str(folder / row["sound"])} if "sound" in row else {})


def honesty(calibration: dict[str, Any], folder: Path) -> dict[str, Any]:
    """How far the probabilities can be believed, in the UI."""
    from pipeline.evaluation.reliability import shown_change

    measured, accepted = calibration["test"], calibration["test"]["accepted"]
    chance = measured["ece_by_chance"]
    rows = [
        {"class": name, "verdict": word, **row}
        for name, words in calibration["verdicts"].items()
        for word, row in words.items()
    ]
    return {
        "certification": calibration["certification"]["note"],
        "calibration": calibration["fit"]["note"],
        "temperature": calibration["applied"].get("temperature"),
        "unsure_below": calibration["applied"].get("unsure_below"),
        "calibration_error": shown_change(measured, "ece"),
        "calibration_error_by_chance": f"{chance['mean']:.3f}, up to {chance['high']:.3f}: of exact probabilities",
        "brier": shown_change(measured, "brier"),
        "judged_outright": f"{accepted['accepted']} of {accepted['clips']} test clips, {accepted['errors']} wrong",
        "verdicts": table(rows),
        "reliability": picture((folder / RELIABILITY).read_bytes()),
        "risk_coverage": picture((folder / RISK_COVERAGE).read_bytes()),
    }


def shown_per_defect(metrics: dict[str, Any]) -> dict[str, Any]:
    """What the UI shows besides, or otherwise, where a clip may have several defects at once."""
    from pipeline.defects.multilabel_evaluation import defect_rows

    if metrics["exclusive"]:
        return {}
    accepted = metrics["calibration"]["test"]["accepted"]
    return {
        "judged_outright": f"{accepted['accepted']} of {accepted['clips']} {DECISIONS}, {accepted['errors']} wrong",
        "calibration_per_defect": table(defect_rows(metrics["calibration"])),
    }
