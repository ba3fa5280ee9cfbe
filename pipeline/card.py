"""The model card: what a bundle is for, what it was trained on, how good it is, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.corpus import Corpus
from speech.bundle import BundleConfig


def model_card(config: BundleConfig, metrics: Mapping[str, Any], corpus: Corpus) -> str:
    """The card as Markdown."""
    clips = corpus.clips
    speakers = f"{metrics['speakers']} speakers who are in no training split"
    if not metrics["speakers_known"]:
        speakers = "speakers unknown: the split is by content, so a speaker may be on both sides"
    rows = "\n".join(
        f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['clips']} |"
        for name, row in metrics["per_class"].items()
    )
    markers = metrics["markers"]
    counting = _counting(markers, "by the transcripts that training learned from") + _counting(
        markers["by_text"], "by the table's texts"
    )
    return f"""# {config.id}

Hears speech defects ({", ".join(config.model.classes)}) in recordings of language `{config.language}`,
{config.audio.min_seconds:g} to {config.audio.max_seconds:g} s long. Made {config.created}.

**It is no medical device and gives no diagnosis.** It says what a recording resembles; a speech therapist judges.

## Data
{len(clips.of_split("train"))} training and {len(clips.of_split("validation"))} validation clips from
{", ".join(clips.meta["archives"])}. What the data do not hold (voices, microphones, accents, ages), the model has
not learned.

## Test
{metrics["clips"]} clips; {speakers}.
Macro-F1 {metrics["macro_f1"]:.3f}; always naming the most frequent class gives {metrics["majority_macro_f1"]:.3f}.

| class | precision | recall | F1 | clips |
|---|---|---|---|---|
{rows}

{counting}

Probabilities are those of the softmax, not calibrated.
"""


def _counting(figures: Mapping[str, Any], truth: str) -> str:
    if figures["mae"] is None:
        return f"Marker letters could not be judged {truth}: no test clip has a known count.\n"
    return (
        f"Marker letters a clip, {truth}, {figures['clips']} clips: mean absolute error {figures['mae']:.2f}, "
        f"{figures['mae_of_mean']:.2f} when always predicting the mean.\n"
    )
