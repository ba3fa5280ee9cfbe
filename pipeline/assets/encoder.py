"""Asset `encoder`: the speech encoder, pretrained to predict marker letters."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import POOL, Stage, picture, result
from pipeline.bundling.selection import bundle_id
from pipeline.defects.settings import Pretext
from pipeline.launchpad import Comet, EncoderConfig, form, settings_of

VERSION = 5  # raised when equal inputs and settings give another output


@asset(
    group_name="training",
    deps=["clips", "markers"],
    code_version=str(VERSION),
    config_schema=form(EncoderConfig, "encoder"),
    pool=POOL,
)
def encoder(context: AssetExecutionContext, comet: Comet) -> MaterializeResult:
    """The encoder, trained to predict how many marker letters each word or clip holds, from transcripts alone."""
    from pipeline.defects.corpus import Corpus
    from pipeline.defects.device_jobs import pretrained
    from pipeline.defects.pretraining import letters_folder, local_weights, save_encoder, start_model
    from pipeline.training.curves import loss_curves
    from pipeline.training.start_weights import weights_hash

    config = settings_of(context, EncoderConfig)
    stage = Stage(context, "encoder")
    source, counted = stage.after("clips"), stage.after("markers")
    known = counted.summary
    inputs = {"clips": source.key, "markers": counted.key}
    for what, found in (("weights", local_weights), ("letters", letters_folder)):
        if config.name is not None and (local := found(config.name)) is not None:
            inputs[what] = weights_hash(local)
    before = None
    if config.init_from is not None:
        inputs["bundle"] = bundle_id(config.init_from, stage.home)
        before = stage.home.bundles / inputs["bundle"]

    def make(folder: Path) -> dict[str, Any]:
        corpus = Corpus.load(source.folder, counted.folder, known["letters"])
        model = start_model(config, known["classes"], known["letters"], known["marked"], before, known["alphabet"])
        history: list[dict[str, float]] = []
        summary: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
        if known["letters"] and config.pretext is not Pretext.none:
            with stage.tracked(comet, config) as tracker:
                run = pretrained(model, corpus, config, folder, stage.say, tracker.metrics)
                tracker.picture("encoder", loss_curves(run.history, "encoder"))
            history, summary["comet"] = run.history, tracker.finish()
            summary |= {"best_validation_loss": run.best, "steps": run.steps}
        else:
            why = "no class has a marker letter" if not known["letters"] else "pretext: none was asked for"
            stage.say(f"encoder: {why}, so it is taken as it is")
        save_encoder(model, folder)
        (folder / "curves.png").write_bytes(loss_curves(history, "encoder: counting marker letters"))
        return summary

    output = stage.build(VERSION, config, inputs, make, resumable=True)
    figures = {name: value for name, value in output.summary.items() if value is not None}
    return result(output, figures | {"curves": picture((output.folder / "curves.png").read_bytes())})
