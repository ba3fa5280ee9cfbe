"""Asset `heads`: the defect heads, trained with the encoder on labelled clips."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import Stage, picture, result
from pipeline.clips.dataset import ClipSet
from pipeline.launchpad import Comet, HeadConfig
from speech.language import load_language

VERSION = 5  # raised when equal inputs and settings give another output


@asset(group_name="training", deps=["clips", "markers", "encoder"], code_version=str(VERSION))
def heads(context: AssetExecutionContext, config: HeadConfig, comet: Comet) -> MaterializeResult:
    """One head for the frames where marker letters sound, one for the rest; best weights by validation macro-F1."""
    from pipeline.corpus import Corpus
    from pipeline.training.curves import loss_curves
    from pipeline.training.finetuning import finetune
    from pipeline.training.pretraining import load_encoder
    from pipeline.training.weights import save_model

    stage = Stage(context, "heads")
    source, counted, pretrained = stage.after("clips"), stage.after("markers"), stage.after("encoder")

    language = load_language(ClipSet.load(source.folder).language)
    imitable = [name for name, known in language.classes.items() if known.imitation]

    def make(folder: Path) -> dict[str, Any]:
        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        model = load_encoder(
            pretrained.folder, config.seed, width=config.width, two_heads=config.two_heads, echo=config.echo
        )
        model.spec = replace(model.spec, exclusive=corpus.clips.exclusive)  # the weights are the same either way
        with stage.tracked(comet, config) as tracker:
            examples = (corpus.examples("train"), corpus.examples("validation"))
            run = finetune(model, *examples, config, folder, stage.say, tracker.metrics, imitable)
            tracker.picture("heads", loss_curves(run.history, "heads"))
        save_model(model, folder)
        (folder / "curves.png").write_bytes(loss_curves(run.history, "heads: telling defects apart"))
        return {"best_validation_macro_f1": run.best, "steps": run.steps, "comet": tracker.finish()}

    inputs = {"clips": source.key, "markers": counted.key, "encoder": pretrained.key} | {
        "imitable": ", ".join(imitable)
    }
    output = stage.build(VERSION, config, inputs, make, resumable=True)
    figures = {name: value for name, value in output.summary.items() if value is not None}
    return result(output, figures | {"curves": picture((output.folder / "curves.png").read_bytes())})
