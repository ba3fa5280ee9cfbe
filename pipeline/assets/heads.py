"""Asset `heads`: the defect heads, trained with the encoder on labelled clips."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import POOL, Stage, picture, result
from pipeline.clips.dataset import ClipSet
from pipeline.defects.settings import CountUnit
from pipeline.launchpad import Comet, HeadConfig, form, settings_of
from pipeline.store import read_cause
from speech.files import read_json, write_json
from speech.text.language import load_language

if TYPE_CHECKING:
    from speech.defects.model import DefectModel

VERSION = 13  # raised when equal inputs and settings give another output


@asset(
    group_name="training",
    deps=["clips", "markers", "encoder"],
    code_version=str(VERSION),
    config_schema=form(HeadConfig, "heads"),
    pool=POOL,
)
def heads(context: AssetExecutionContext, comet: Comet) -> MaterializeResult:
    """One head for the frames where marker letters sound, one for the rest; best weights by validation macro-F1."""
    from pipeline.defects.corpus import Corpus
    from pipeline.defects.device_jobs import finetuned
    from pipeline.defects.finetuning import longest_window, remove_cache
    from pipeline.defects.pretraining import load_encoder
    from pipeline.defects.weights import HELD_OUT_TWIN, save_model
    from pipeline.training.curves import loss_curves

    config = settings_of(context, HeadConfig)
    stage = Stage(context, "heads")
    source, counted, pretrained = stage.after("clips"), stage.after("markers"), stage.after("encoder")

    language = load_language(ClipSet.load(source.folder).language)
    imitable = [name for name, known in language.classes.items() if known.imitation]

    def make(folder: Path) -> dict[str, Any]:
        corpus = Corpus.load(source.folder, counted.folder, counted.summary["letters"])
        taught = read_cause(pretrained)["settings"]
        train = partial(
            finetuned,
            imitable=imitable,
            per_word=taught["unit"] == CountUnit.word,
            label_prior=taught["label_prior"],
        )
        twin, done = folder / HELD_OUT_TWIN, folder / "run.json"

        def start() -> "DefectModel":
            made_of = {name: getattr(config, name) for name in ("width", "two_heads", "echo", "members")}
            model = load_encoder(pretrained.folder, config.seed, **made_of)
            # The weights are the same either way.
            model.spec = replace(
                model.spec, exclusive=corpus.clips.exclusive, window_seconds=longest_window(corpus.clips)
            )
            return model

        with stage.tracked(comet, config) as tracker:
            if config.refit and done.exists():  # of a run that was killed while it trained once more
                summary = read_json(done)
            else:
                model = start()
                run = train(model, corpus, config, folder, stage.say, tracker.metrics)
                tracker.picture("heads", loss_curves(run.history, "heads"))
                (folder / "curves.png").write_bytes(loss_curves(run.history, "heads: telling defects apart"))
                summary = {"best_validation_macro_f1": run.best, "steps": run.steps}
                if config.refit:
                    twin.mkdir(exist_ok=True)
                    save_model(model, twin)
                    write_json(done, summary)
            if config.refit:
                stage.say("heads: once more, with the validation speakers among the others")
                model = start()
                train(model, corpus, config, folder, stage.say, _unseen, keep_best=False)
        remove_cache(folder)
        save_model(model, folder)
        return summary | {"comet": tracker.finish()}

    inputs = {"clips": source.key, "markers": counted.key, "encoder": pretrained.key} | {
        "imitable": ", ".join(imitable)
    }
    output = stage.build(VERSION, config, inputs, make, resumable=True)
    figures = {name: value for name, value in output.summary.items() if value is not None}
    return result(output, figures | {"curves": picture((output.folder / "curves.png").read_bytes())})


def _unseen(figures: dict[str, float], step: int) -> None:
    """The second training's figures are of steps that the tracker has already; they are not tracked."""
