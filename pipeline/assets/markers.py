"""Asset `markers`: how many marker letters each word and clip holds."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline.assets.stage import POOL, Stage, result, table
from pipeline.clips.dataset import ClipSet
from pipeline.defects.weak_labels import count_letters_of, read_transcripts, reference_counts, write_markers
from pipeline.launchpad import MarkerConfig, form, settings_of
from speech.defects.spec import marked_classes
from speech.files import digest_of
from speech.text.language import load_language
from speech.whisper.markers import coverage, doubts

VERSION = 2  # raised when equal inputs and settings give another output


@asset(
    group_name="labels",
    deps=["clips", "transcripts"],
    code_version=str(VERSION),
    config_schema=form(MarkerConfig, "markers"),
    pool=POOL,
)
def markers(context: AssetExecutionContext) -> MaterializeResult:
    """Marker letters counted in the words that Whisper is sure of; the labels that pretraining learns from."""
    config = settings_of(context, MarkerConfig)
    stage = Stage(context, "markers")
    source, words = stage.after("clips"), stage.after("transcripts")
    data = ClipSet.load(source.folder)
    language = load_language(data.language)
    by_class = {name: list(language.classes[name].markers) for name in data.classes}
    letters = list(dict.fromkeys(letter for of_class in by_class.values() for letter in of_class))

    def make(folder: Path) -> dict[str, Any]:
        counted = count_letters_of(data, read_transcripts(words.folder), language, config.trusted)
        write_markers(folder, counted, reference_counts(data, language))
        return {
            "classes": list(data.classes),
            "letters": letters,
            "alphabet": language.alphabet,
            "marked": list(marked_classes(by_class)),
            "class_names": {name: dict(language.classes[name].names) for name in data.classes},
            "coverage": coverage(list(counted.values()), letters),
            "doubts": doubts(list(counted.values())),
        }

    inputs = {"transcripts": words.key, "clips": source.key, "rules": digest_of([by_class, language.counting()])}
    output = stage.build(VERSION, config, inputs, make)
    doubtful = [{"why": why, "clips": clips} for why, clips in output.summary["doubts"].items()]
    return result(
        output,
        {
            "letters": ", ".join(letters) or "none",
            "coverage": table(output.summary["coverage"]),
            "clips without a count": table(doubtful),
        },
    )
