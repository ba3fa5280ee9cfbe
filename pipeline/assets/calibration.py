"""Asset `calibration`: what the model's probabilities mean, learned from the validation speakers."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.judging import computing_on
from pipeline.assets.stage import POOL, Stage, result, table
from pipeline.launchpad import CalibrationConfig, form, settings_of

VERSION = 4  # raised when equal inputs and settings give another output


@asset(
    group_name="judgement",
    deps=["clips", "markers", "heads"],
    code_version=str(VERSION),
    config_schema=form(CalibrationConfig, "calibration"),
    pool=POOL,
)
def calibration(context: AssetExecutionContext) -> MaterializeResult:
    """Temperature and bias of the probabilities, from how much on a verdict is given outright, and from how much on a
    frame belongs to a place of a defect. The test split has no part in it."""
    config = settings_of(context, CalibrationConfig)
    stage = Stage(context, "calibration")
    source, counted, trained = stage.after("clips"), stage.after("markers"), stage.after("heads")

    def make(folder: Path) -> dict[str, Any]:
        from pipeline.defects.calibration import calibrate_model, save_calibration
        from pipeline.defects.corpus import Corpus

        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        with computing_on(config) as (on, _):
            fitted = calibrate_model(corpus, trained.folder, config, on, stage.say)
        save_calibration(fitted, folder)
        return {"applied": fitted.calibration.as_dict(), "fit": fitted.summary}

    inputs = {"clips": source.key, "markers": counted.key, "heads": trained.key}
    output = stage.build(VERSION, config, inputs, make)
    applied, fit = output.summary["applied"], output.summary["fit"]
    shown = {
        "fit": fit["note"],
        "temperature": applied.get("temperature"),
        "unsure_below": applied.get("unsure_below"),
        "sounds": table([{"defect": name, **row} for name, row in fit.get("sounds", {}).items()]),
        "heard_from": table([{"defect": name, "from": least} for name, least in applied["heard_from"].items()]),
    }
    return result(output, {name: value for name, value in shown.items() if value is not None})
