"""Asset `markers`: how many marker letters each word and clip holds."""

import json
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import Stage, result, table
from pipeline.assets.transcripts import read_transcripts
from pipeline.clips.dataset import ClipSet
from pipeline.launchpad import MarkerConfig
from pipeline.options import confidence_gate
from speech.files import digest_of, write_atomically
from speech.language import Language, load_language
from speech.markers import ClipMarkers, ConfidenceGate, count_markers, coverage, from_text
from speech.spec import marked_classes
from speech.transcribe import Transcript

VERSION = 1  # raised when equal inputs and settings give another output
_FILE = "markers.json"


@asset(group_name="labels", deps=["clips", "transcripts"], code_version=str(VERSION))
def markers(context: AssetExecutionContext, config: MarkerConfig) -> MaterializeResult:
    """Marker letters counted in the words that Whisper is sure of; the labels that pretraining learns from."""
    stage = Stage(context, "markers")
    source, words = stage.after("clips"), stage.after("transcripts")
    data = ClipSet.load(source.folder)
    language = load_language(data.language)
    by_class = {name: list(language.classes[name].markers) for name in data.classes}
    letters = list(dict.fromkeys(letter for of_class in by_class.values() for letter in of_class))

    def make(folder: Path) -> dict[str, Any]:
        counted = _count(data, read_transcripts(words.folder), language, confidence_gate(config))
        write_atomically(
            folder / _FILE, json.dumps({clip: found.as_dict() for clip, found in counted.items()}, ensure_ascii=False)
        )
        return {
            "classes": list(data.classes),
            "letters": letters,
            "marked": list(marked_classes(by_class)),
            "class_names": {name: dict(language.classes[name].names) for name in data.classes},
            "coverage": coverage(list(counted.values()), letters),
        }

    rules = {letter: repr(language.letters[letter]) for letter in letters}
    inputs = {"transcripts": words.key, "clips": source.key, "rules": digest_of([by_class, rules])}
    output = stage.build(VERSION, config, inputs, make)
    return result(output, {"letters": ", ".join(letters) or "none", "coverage": table(output.summary["coverage"])})


def read_markers(folder: Path) -> dict[str, ClipMarkers]:
    """Clip id to its marker letters, as this asset's output holds them."""
    value = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    return {clip: ClipMarkers.from_dict(found) for clip, found in value.items()}


def _count(
    data: ClipSet, transcripts: dict[str, dict[str, Any]], language: Language, confidence: ConfidenceGate
) -> dict[str, ClipMarkers]:
    found = {}
    for record in data.records:
        transcript = transcripts.get(record.id)
        if transcript is None:
            continue
        if "words" in transcript:
            heard = Transcript.from_dict(transcript)
            found[record.id] = count_markers(heard, record.seconds, language, confidence)
        else:
            found[record.id] = from_text(transcript["text"], language)
    return found
