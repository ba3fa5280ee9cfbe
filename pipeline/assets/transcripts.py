"""Asset `transcripts`: what is said in every clip, with word times."""

import time
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import POOL, Stage, result, table
from pipeline.clips.dataset import ClipSet
from pipeline.defects.settings import TranscriptSource
from pipeline.defects.weak_labels import write_transcripts
from pipeline.launchpad import TranscriptConfig, form, settings_of
from pipeline.progress import seconds_text
from speech.whisper.cache import transcribe_clips
from speech.whisper.weights import identity, resolve

VERSION = 2  # raised when equal inputs and settings give another output
_INTERVAL = 10.0  # seconds between lines of progress
_SHOWN = 15  # transcripts shown in the UI


class TextMissing(ValueError):
    """Transcripts were to come from the text column, but there is none."""


@asset(
    group_name="labels",
    deps=["clips"],
    code_version=str(VERSION),
    config_schema=form(TranscriptConfig, "transcripts"),
    pool=POOL,
)
def transcripts(context: AssetExecutionContext) -> MaterializeResult:
    """Whisper's words with times and probabilities; labels for marker letters, never evidence of a defect."""
    config = settings_of(context, TranscriptConfig)
    stage = Stage(context, "transcripts")
    source = stage.after("clips")
    data = ClipSet.load(source.folder)
    options = config.whisper(data.language)
    said = 0.0

    def progress(done: int, total: int, left: float) -> None:
        nonlocal said
        if done == total or time.monotonic() - said >= _INTERVAL:
            said = time.monotonic()
            stage.say(f"transcripts: {done} of {total} clips, {seconds_text(left)} left")

    def make(folder: Path) -> dict[str, Any]:
        if config.source is TranscriptSource.text_column:
            value = {record.id: {"text": record.text} for record in data.records if record.text}
            if not value:
                raise TextMissing("transcripts.source is text_column, but no row of the table has a text; use whisper")
        else:
            wanted = [(record.content, lambda record=record: data.samples(record)) for record in data.records]
            found = transcribe_clips(wanted, options, stage.home.cache / "transcripts", progress)
            value = {record.id: found[record.content].as_dict() for record in data.records}
        write_transcripts(folder, value)
        examples = [{"clip": r.file, "text": value[r.id]["text"]} for r in data.records if r.id in value]
        return {"clips": len(value), "examples": examples[:_SHOWN]}

    inputs = {"clips": source.key}
    if config.source is TranscriptSource.whisper:
        inputs["model"] = identity(resolve(options.model, options.backend))
    output = stage.build(VERSION, config, inputs, make)
    return result(output, {"clips": output.summary["clips"], "examples": table(output.summary["examples"])})
