"""Asset `clips`: table and audio, read, checked and split."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from pipeline.assets.stage import Stage, picture, result, table
from pipeline.clips.dataset import build_clips, commit_splits
from pipeline.clips.options import ClipOptions
from pipeline.clips.validation import Source
from pipeline.launchpad import ClipConfig
from pipeline.settings import ClipSettings
from pipeline.vocabulary import vocabulary
from speech.files import digest_of, read_json
from speech.language import load_language

VERSION = 1  # raised when equal inputs and settings give another output
_FAULTS_SHOWN = 50  # the rest stands in the report
_PROGRESS_EVERY = 200  # clips between lines


@asset(group_name="data", deps=["archive"], code_version=str(VERSION))
def clips(context: AssetExecutionContext, config: ClipConfig) -> MaterializeResult:
    """Every usable clip, decoded once, with its label, speaker and split; the bad ones in a report."""
    stage = Stage(context, "clips")
    archive = stage.after("archive")
    words = vocabulary(config, load_language(config.language))
    sources = [Source(name, archive.folder / str(number)) for number, name in enumerate(archive.summary["namespaces"])]
    registry = stage.home.registry / "speakers.json"
    failures = stage.home.root / "reports" / context.run.run_id
    labels_required = "heads" in (context.run.run_config.get("ops") or {})

    def progress(done: int, total: int, left: float) -> None:
        if done == total or done % _PROGRESS_EVERY == 0:
            stage.say(f"clips: {done} of {total} files decoded, {left:.0f} s left")

    def make(folder: Path) -> dict[str, Any]:
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
        return summary.as_dict()

    names = {"columns": words.columns, "classes": words.classes, "splits": words.splits}
    inputs = {"archive": archive.key, "vocabulary": digest_of(names), "labels": str(labels_required)}
    output = stage.build(VERSION, config, inputs, make)
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


def clip_options(settings: ClipSettings) -> ClipOptions:
    """The settings as the clips room takes them."""
    return ClipOptions(
        min_seconds=settings.min_seconds,
        max_seconds=settings.max_seconds,
        silence_dbfs=settings.silence_dbfs,
        decoder_timeout_seconds=settings.decoder_timeout_seconds,
        max_bad_share=settings.max_bad_share,
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        min_clips_per_class=settings.min_clips_per_class,
        seed=settings.seed,
    )


def _text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in row.items()}
