"""Asset `clips`: table and audio, read, checked and split."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from pipeline.assets.stage import Stage, picture, result, table
from pipeline.clips.dataset import build_clips, commit_splits
from pipeline.clips.errors import ClipsError
from pipeline.clips.registry import REGISTRY_NAME
from pipeline.clips.validation import Source
from pipeline.launchpad import ClipConfig
from pipeline.options import clip_options
from pipeline.progress import seconds_text
from pipeline.store import StageOutput
from pipeline.vocabulary import vocabulary
from speech.files import digest_of, read_json
from speech.language import load_language

VERSION = 2  # raised when equal inputs and settings give another output
PRETRAIN = "pretrain"  # the job that does without labels
_FAULTS_SHOWN = 50  # the rest stands in the report


@asset(group_name="data", deps=["archive"], code_version=str(VERSION))
def clips(context: AssetExecutionContext, config: ClipConfig) -> MaterializeResult:
    """Every usable clip, decoded once, with its label, speaker and split; the bad ones in a report."""
    stage = Stage(context, "clips")
    archive = stage.after("archive")
    words = vocabulary(config, load_language(config.language))
    sources = [Source(name, archive.folder / str(number)) for number, name in enumerate(archive.summary["namespaces"])]
    registry = stage.home.registry / REGISTRY_NAME
    failures = stage.home.root / "reports" / context.run.run_id

    def progress(done: int, total: int, left: float) -> None:
        stage.say(f"clips: {done} of {total} files decoded, {seconds_text(left)} left")

    def make(folder: Path, labels_required: bool) -> dict[str, Any]:
        summary = build_clips(
            sources,
            folder,
            vocabulary=words,
            language=config.language,
            options=clip_options(config),
            registry=registry,
            labels_required=labels_required,
            failure_report=failures,
            progress=progress,
        )
        commit_splits(folder, registry)  # before anything is trained on them
        return summary.as_dict()

    names = {"columns": words.columns, "classes": words.classes, "splits": words.splits}
    inputs = {"archive": archive.key, "vocabulary": digest_of(names)}

    def build(labels_required: bool) -> StageOutput:
        cause = inputs | {"labels": str(labels_required)}
        return stage.build(VERSION, config, cause, lambda folder: make(folder, labels_required))

    try:
        # Pretraining takes the labelled set too where there is one, so that a later training goes on from its encoder.
        output = build(labels_required=True)
    except ClipsError as error:
        if context.run.job_name != PRETRAIN:
            raise
        stage.say(f"clips: not fit for training defects ({error}); pretraining needs no labels and goes on")
        output = build(labels_required=False)
    commit_splits(output.folder, registry)
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
            "report": MetadataValue.path(str(output.folder / "report.md")),
            "notes": MetadataValue.md("\n".join(f"- {note}" for note in output.summary["notes"]) or "none"),
        },
    )


def _text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in row.items()}
