"""The model card: what a bundle is for, what it was trained on, how good it is, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.card_multilabel import probabilities_per_defect
from pipeline.corpus import Corpus
from speech.bundle import BundleConfig, read_gate
from speech.gate import Gate, check


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
    probabilities = _calibration if config.model.exclusive else probabilities_per_defect
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
{_gate(read_gate(config), metrics)}
{probabilities(metrics["calibration"], clips.meta["archives"], metrics["speakers_known"])}"""


def _counting(figures: Mapping[str, Any], truth: str) -> str:
    if figures["mae"] is None:
        return f"Marker letters could not be judged {truth}: no test clip has a known count.\n"
    return (
        f"Marker letters a clip, {truth}, {figures['clips']} clips: mean absolute error {figures['mae']:.2f}, "
        f"{figures['mae_of_mean']:.2f} when always predicting the mean.\n"
    )


def _gate(gate: Gate, metrics: Mapping[str, Any]) -> str:
    lines = [f"- {c.name}: {'passed' if c.passed else '**failed**'}: {c.detail}" for c in check(gate, metrics)]
    if gate.override:
        lines.append(f"\n**It serves by an override of the gate.** The reason given: {gate.override}")
    return "## Gate\n" + "\n".join(lines) + "\n"


def _calibration(figures: Mapping[str, Any], archives: Sequence[str], speakers_known: bool) -> str:
    fit, test, accepted = figures["fit"], figures["test"], figures["test"]["accepted"]
    of = "speakers" if speakers_known else "voices (speakers are unknown: each clip counts as one)"
    rows = "\n".join(
        f"| {title} | {' | '.join(_ranged(test[stage][name]) for stage in ('before', 'after', 'change'))} |"
        for name, title in (("ece", "calibration error (ECE)"), ("brier", "Brier score"), ("nll", "log loss, nats"))
    )
    return f"""## Probabilities
Calibrated on {fit["clips"]} validation clips of {fit["units"]} {of}, measured on {test["clips"]} test clips of
{test["units"]}, all from {", ".join(archives)}. They hold for recordings like these, with defects as common as there;
calibrated on synthetic voices, they say nothing of people.

| on the test clips | before (softmax) | after | change |
|---|---|---|---|
{rows}

In brackets the middle 95% of bootstrap draws of whole {"speakers" if speakers_known else "clips"}. The ECE of few clips
comes out too large; its change is fairer.

A recording is judged outright (yes, no) where its most probable class has {figures["applied"]["unsure_below"]:.3f} or
more; else what is possible is called unsure. {fit["note"][0].upper()}{fit["note"][1:]}.
Of the test clips {accepted["accepted"]} of {accepted["clips"]} are judged outright, {accepted["errors"]} of these
wrongly: an error of at most {accepted["error_at_most"]:.3f} with 95% confidence.
A defect told by letters is not assessable where the model counts fewer than
{figures["applied"]["fewest_letters"]:g} of them.
"""


def _ranged(figure: Mapping[str, float | None]) -> str:
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
