"""A recogniser as a bundle: written beside its processor's files, and loaded for serving."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech.bundles.config import RecogniserConfig, RecogniserSection, open_bundle, other_recipe
from speech.bundles.files import (
    RECOGNISER,
    WEIGHTS,
    BundleError,
    load_weights,
    read_metrics,
    read_statistics,
    unfitting,
    write_files,
)
from speech.ctc.processor_files import PROCESSOR_FILES
from speech.defects.training_distance import TrainingDistance
from speech.encoders.precision import Precision

if TYPE_CHECKING:  # torch takes seconds to import, and only loading and writing need it
    from speech.ctc.folder import Recogniser


@dataclass(frozen=True)
class LoadedRecogniser:
    """A verified bundle in memory, ready for `speech.ctc.transcription`; the fields are as
    `speech.bundles.defects.LoadedBundle` has them."""

    config: RecogniserConfig
    recogniser: Recogniser
    metrics: dict[str, Any]
    folder: Path
    training_distance: TrainingDistance | None = None
    precision: Precision = Precision.fp32
    measured: Mapping[Precision, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.config.id


def recogniser_section(recogniser: Recogniser) -> RecogniserSection:
    """What config.yaml says of a recogniser's model."""
    from speech.ctc.architecture import architecture

    return RecogniserSection(
        architecture=architecture(recogniser.model.config),
        vocabulary=recogniser.vocabulary_size,
        blank=recogniser.blank,
        words=list(recogniser.words),
    )


def write_recogniser_bundle(
    folder: Path,
    config: RecogniserConfig,
    recogniser: Recogniser,
    metrics: dict[str, Any],
    statistics: dict[str, Any],
    trained_on: Iterable[str],
    card: str,
) -> None:
    """Fill an empty folder with a bundle. The caller renames it into place (`speech.files.whole_folder`).

    Raises `BundleError` where the tokenizer cannot be made again of the files that a bundle may hold.
    """
    from speech.ctc.folder import RecogniserError, load_processor, save_processor

    with tempfile.TemporaryDirectory(dir=folder) as name:
        written = Path(name)
        save_processor(recogniser.processor, written)
        kept = [file for file in PROCESSOR_FILES if (written / file).is_file()]
        for file in kept:
            (written / file).rename(folder / file)
    try:
        vocabulary = load_processor(folder).tokenizer.get_vocab()
    except RecogniserError as error:
        raise BundleError(f"{config.id}: {error}") from error
    if vocabulary != recogniser.processor.tokenizer.get_vocab():
        raise BundleError(f"{config.id}: of {', '.join(kept)} another vocabulary is read than was written")
    write_files(folder, config, recogniser.model.state_dict(), metrics, statistics, trained_on, card, kept)


def load_recogniser_bundle(folder: Path, device: str = "cpu") -> LoadedRecogniser:
    """Verify a bundle and load it for serving, in evaluation mode. Raises `BundleError`.

    Weights are mapped as those of `speech.bundles.defects.load_bundle`.
    """
    from speech.ctc.architecture import build
    from speech.ctc.folder import Recogniser, RecogniserError, load_processor

    entries, config = open_bundle(folder)
    if not isinstance(config, RecogniserConfig):
        raise other_recipe(config, RECOGNISER)
    try:
        model = build(config.model.architecture)
    except (RecogniserError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise unfitting(folder, error) from error
    load_weights(model, folder, entries[WEIGHTS])
    try:
        recogniser = Recogniser(model.to(device).eval(), load_processor(folder), config.language, config.model.words)
    except RecogniserError as error:
        raise BundleError(f"{folder.name}: {error}") from error
    said = (recogniser.vocabulary_size, recogniser.blank)
    if said != (config.model.vocabulary, config.model.blank):
        raise BundleError(
            f"{folder.name}/config.yaml, field model: {config.model.vocabulary} outputs and the blank "
            f"{config.model.blank}; its architecture has {said[0]} and {said[1]}",
            "config",
        )
    return LoadedRecogniser(config, recogniser, read_metrics(folder), folder, read_statistics(folder))
