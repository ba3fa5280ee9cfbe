"""From a judged recogniser to a bundle, and the proof that it transcribes as it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.bundling.plan import BundlePlan, write_and_prove
from pipeline.bundling.settings import BundleSettings
from pipeline.bundling.training_clips import clip_hashes, statistics
from pipeline.clips.dataset import ClipSet
from pipeline.recognition.card import model_card
from pipeline.recognition.scoring import character_counts, error_rate, score
from pipeline.recognition.settings import RecogniserSettings
from speech.bundles.defects import FORMAT, AudioSection, BundleError, RecogniserConfig
from speech.bundles.recogniser import load_recogniser_bundle, recogniser_section, write_recogniser_bundle
from speech.ctc.folder import load_recogniser
from speech.ctc.transcription import transcribe
from speech.home import Home

_PROVED = 8  # clips on which the written bundle must answer as the model did
_CHARACTERS = 0.02  # share that may differ: a GPU rounds otherwise, and two letters may be all but equally probable
_CONFIDENCE = 0.01


def make_recogniser_bundle(
    home: Home,
    plan: BundlePlan,
    trained: Path,
    clips: ClipSet,
    metrics: Mapping[str, Any],
    answers: Sequence[Mapping[str, Any]],
    settings: BundleSettings,
    training: RecogniserSettings,
) -> Path:
    """Write the bundle, load it again and hold its texts against those that were measured (`answers`).

    `training` are the settings that made the recogniser. Raises `BundleError` where they differ; then the folder is
    gone.
    """
    recogniser = load_recogniser(trained)

    def write(folder: Path) -> None:
        config = RecogniserConfig(
            format=FORMAT,
            recipe="asr",
            id=plan.id,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            language=clips.language,
            audio=AudioSection(min_seconds=clips.meta["options"]["min_seconds"], max_seconds=settings.max_seconds),
            model=recogniser_section(recogniser),
            precisions=metrics["precisions"],
            gate=vars(plan.gate),
            lineage={"run": plan.run, **plan.lineage},
        )
        card = model_card(config, metrics, clips, training)
        write_recogniser_bundle(folder, config, recogniser, dict(metrics), statistics(clips), clip_hashes(clips), card)

    return write_and_prove(home, plan, write, lambda folder: prove(folder, clips, answers))


def prove(folder: Path, clips: ClipSet, answers: Sequence[Mapping[str, Any]]) -> None:
    """Load the bundle and transcribe some test clips; raises `BundleError` where it hears otherwise than measured."""
    bundle = load_recogniser_bundle(folder)
    by_id = {record.id: record for record in clips.of_split("test")}
    chosen = answers[:_PROVED]
    again = transcribe(bundle.recogniser, [clips.samples(by_id[answer["clip"]]) for answer in chosen])
    texts = score([answer["text"] for answer in chosen], [transcript.text for transcript in again])
    apart = error_rate(character_counts(texts))
    unsure = max(
        abs(answer["confidence"] - transcript.confidence) for answer, transcript in zip(chosen, again, strict=True)
    )
    if apart > _CHARACTERS or unsure > _CONFIDENCE:
        raise BundleError(
            f"{folder.name} hears otherwise than the model that was measured: {apart:.1%} of the characters of "
            f"{len(chosen)} test clips differ, confidence by up to {unsure:.4f}"
        )
