"""Asset `recogniser`: a CTC recogniser, fine-tuned on recordings with texts."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import POOL, Stage, picture, result
from pipeline.clips.dataset import ClipSet
from pipeline.launchpad import Comet, RecogniserConfig, form, settings_of
from pipeline.recognition import MODEL

VERSION = 3  # raised when equal inputs and settings give another output


@asset(
    group_name="training",
    deps=["asr_clips"],
    code_version=str(VERSION),
    config_schema=form(RecogniserConfig, "recogniser"),
    pool=POOL,
)
def recogniser(context: AssetExecutionContext, comet: Comet) -> MaterializeResult:
    """Any AutoModelForCTC, or the embedded encoder with a new head; the best weights by validation word error rate,
    or the last."""
    from pipeline.recognition.device_jobs import trained
    from pipeline.recognition.finetuning import hash_of, start_recogniser
    from pipeline.recognition.texts import check_texts
    from pipeline.training.curves import loss_curves
    from speech.ctc.folder import save_recogniser

    config = settings_of(context, RecogniserConfig)
    stage = Stage(context, "recogniser")
    source = stage.after("asr_clips")

    def make(folder: Path) -> dict[str, Any]:
        clips = ClipSet.load(source.folder)
        started = start_recogniser(config, clips)
        records, faults = check_texts(clips, started.ids_of, started.frame_seconds, folder)
        for fault in faults:
            stage.say(f"recogniser: left out, {fault}")
        with stage.tracked(comet, config) as tracker:
            run = trained(started, clips, records, config, folder, stage.say, tracker.metrics)
            tracker.picture("recogniser", loss_curves(run.history, "recogniser"))
        (folder / "curves.png").write_bytes(loss_curves(run.history, "recogniser: writing what is said"))
        save_recogniser(started, folder / MODEL)
        return {
            "validation_wer": run.best,
            "steps": run.steps,
            "clips": len(records),
            "left_out": len(faults),
            "outputs": started.vocabulary_size,
            "words": len(started.words) or None,
            "comet": tracker.finish(),
        }

    inputs = {"asr_clips": source.key}
    if (started_from := hash_of(config)) is not None:
        inputs["weights"] = started_from
    output = stage.build(VERSION, config, inputs, make, resumable=True)
    figures = {name: value for name, value in output.summary.items() if value is not None}
    return result(output, figures | {"curves": picture((output.folder / "curves.png").read_bytes())})
