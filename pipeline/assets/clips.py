"""Asset `clips`: table and audio, read, checked and split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from pipeline.assets.stage import POOL, Stage, picture, result, table
from pipeline.clips.contents import Vocabulary
from pipeline.clips.dataset import build_clips, commit_splits
from pipeline.clips.errors import ClipsError
from pipeline.clips.registry import REGISTRY_NAME
from pipeline.clips.shortcuts import shown
from pipeline.clips.validation import Source
from pipeline.clips.vocabulary import vocabulary
from pipeline.launchpad import AsrClipConfig, ClipConfig, form, settings_of
from pipeline.progress import seconds_text
from pipeline.store import StageOutput
from speech.files import digest_of, read_json
from speech.text.language import load_language

VERSION = 5  # raised when equal inputs and settings give another output
PRETRAIN = "pretrain"  # the job that does without labels
_FAULTS_SHOWN = 50  # the rest stands in the report


@asset(
    group_name="data",
    deps=["archive"],
    code_version=str(VERSION),
    config_schema=form(ClipConfig, "clips"),
    pool=POOL,
)
def clips(context: AssetExecutionContext) -> MaterializeResult:
    """Every usable clip, decoded once, with its label, speaker and split; the bad ones in a report."""
    config = settings_of(context, ClipConfig)
    clip_stage = ClipStage(
        Stage(context, "clips"), "archive", config, vocabulary(config, load_language(config.language))
    )
    try:
        # Pretraining takes the labelled set too where there is one, so that a later training goes on from its encoder.
        output = clip_stage.build(VERSION, {"labels": "True"})
    except ClipsError as error:
        if context.run.job_name != PRETRAIN:
            raise
        clip_stage.stage.say(f"clips: not fit for training defects ({error}); pretraining needs no labels and goes on")
        output = clip_stage.build(VERSION, {"labels": "False"}, labels_required=False)
    return clip_stage.result(output)


class ClipStage:
    """The clip set of a recipe: its stage, the stage with the unpacked archives, settings, and the names in tables."""

    def __init__(self, stage: Stage, archive: str, config: ClipConfig | AsrClipConfig, words: Vocabulary) -> None:
        self.stage, self._config, self._words = stage, config, words
        self._archive = stage.after(archive)
        self._registry = stage.home.registry / REGISTRY_NAME

    def build(self, version: int, inputs: Mapping[str, str], *, labels_required: bool = True) -> StageOutput:
        """The clip set, its splits in the registry. Raises `ClipsError`; the report then lies in `reports/<run>`."""
        names = {"columns": self._words.columns, "classes": self._words.classes, "splits": self._words.splits}
        cause = {"archive": self._archive.key, "vocabulary": digest_of(names), **inputs}
        output = self.stage.build(version, self._config, cause, lambda folder: self._make(folder, labels_required))
        commit_splits(output.folder, self._registry)
        return output

    def result(self, output: StageOutput) -> MaterializeResult:
        """What the asset answers."""
        report = read_json(output.folder / "report.json")
        counts = output.summary["counts"]
        return result(
            output,
            {
                "clips": output.summary["clips"],
                "labelled": output.summary["labelled"],
                "minutes": round(output.summary["minutes"], 1),
                "speakers": output.summary["speakers"],
                "speakers_known": output.summary["speakers_known"],
                "splits": table([{"split": split, **row} for split, row in counts.items()]),
                "quarantined": table([_text(fault) for fault in report["faults"][:_FAULTS_SHOWN]]),
                "classes": picture((output.folder / "classes.png").read_bytes()),
                "durations": picture((output.folder / "durations.png").read_bytes()),
                "shortcuts": table(
                    [shown(row) for row in report["shortcuts"]] or [{"shortcuts": "too few clips to tell"}]
                ),
                "report": MetadataValue.path(str(output.folder / "report.md")),
                "notes": MetadataValue.md("\n".join(f"- {note}" for note in output.summary["notes"]) or "none"),
            },
        )

    def _make(self, folder: Path, labels_required: bool) -> dict[str, Any]:
        names = self._archive.summary["namespaces"]
        companions = self._archive.summary.get("companions", [])  # archives unpacked before there were any have none
        summary = build_clips(
            [
                Source(name, self._archive.folder / str(number), companion=name in companions)
                for number, name in enumerate([*names, *companions])
            ],
            folder,
            vocabulary=self._words,
            language=self._config.language,
            settings=self._config,
            registry=self._registry,
            labels_required=labels_required,
            failure_report=self.stage.home.root / "reports" / self.stage.context.run.run_id,
            progress=self._progress,
        )
        commit_splits(folder, self._registry)  # before anything is trained on them
        return summary.as_dict()

    def _progress(self, done: int, total: int, left: float) -> None:
        self.stage.say(f"{self.stage.name}: {done} of {total} files decoded, {seconds_text(left)} left")


def _text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in row.items()}
