"""The model card: what a bundle is for, what it was trained on, how good it is, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bundling.card_gate import champion_section, gate_section
from pipeline.clips.shortcuts import section
from pipeline.defects.card_data import data_section, limits_section
from pipeline.defects.card_multilabel import COUNTING, probabilities_per_defect
from pipeline.defects.corpus import Corpus
from pipeline.evaluation.bootstrap import shown_interval
from pipeline.evaluation.groups import shown_groups
from pipeline.markdown import table
from speech.bundles.defects import BundleConfig, read_gate


def model_card(config: BundleConfig, metrics: Mapping[str, Any], corpus: Corpus) -> str:
    """The card as Markdown."""
    clips = corpus.clips
    probabilities = _calibration if config.model.exclusive else probabilities_per_defect
    parts = [
        f"# {config.id}",
        f"""Hears speech defects ({", ".join(config.model.classes)}) in recordings of language `{config.language}`,
{config.audio.min_seconds:g} to {config.audio.max_seconds:g} s long. Made {config.created}.""",
        """**It is no medical device and gives no diagnosis.** It says what a recording resembles; a speech therapist
judges.""",
        data_section(clips),
        limits_section(config, clips),
        _test(metrics),
        section(clips.meta.get("shortcuts", ())),
        champion_section(metrics["champion"], "macro_f1", "macro-F1"),
        _groups(metrics["groups"]),
        _places(metrics["markers"]),
        gate_section(read_gate(config), metrics),
        probabilities(metrics["calibration"], clips.meta["archives"], metrics["speakers_known"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _test(metrics: Mapping[str, Any]) -> str:
    speakers = f"{metrics['speakers']} speakers who are in no training split"
    if not metrics["speakers_known"]:
        speakers = "speakers unknown: the split is by content, so a speaker may be on both sides"
    rows = [
        (name, *(f"{row[figure]:.3f}" for figure in ("precision", "recall", "f1")), row["clips"])
        for name, row in metrics["per_class"].items()
    ]
    return f"""## Test
{metrics["clips"]} clips; {speakers}.
Macro-F1 {metrics["macro_f1"]:.3f}; always naming the most frequent class gives {metrics["majority_macro_f1"]:.3f}.
Accuracy {metrics["accuracy"]:.3f}.{"" if metrics["exclusive"] else COUNTING}

{table(("class", "precision", "recall", "F1", "clips"), rows)}"""


def _groups(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    shown = shown_groups(rows)
    header = ("group", "clips", "speakers", "macro-F1", "accuracy", "note")
    return f"""### By group of speakers
Macro-F1 over the classes that a group's test clips have, so that groups with other classes do not compare.

{table(header, [list(row.values()) for row in shown])}"""


def _places(markers: Mapping[str, Any]) -> str:
    counting = [
        _counting(markers, "by the transcripts that training learned from"),
        _counting(markers["by_text"], "by the table's texts"),
    ]
    return f"""### Letters and places
{chr(10).join(counting)}

Places in an answer are a hint for the ear. They were learned from labels of whole clips and are not measured here:
the data do not say where in a clip a defect is heard."""


def _counting(figures: Mapping[str, Any], truth: str) -> str:
    if figures["mae"] is None:
        return f"Marker letters could not be judged {truth}: no test clip has a known count."
    return (
        f"Marker letters a clip, {truth}, {figures['clips']} clips: mean absolute error {figures['mae']:.2f}, "
        f"{figures['mae_of_mean']:.2f} when always predicting the mean."
    )


def _calibration(figures: Mapping[str, Any], archives: Sequence[str], speakers_known: bool) -> str:
    fit, test = figures["fit"], figures["test"]
    chance = test["ece_by_chance"]
    of = "speakers" if speakers_known else "voices (speakers are unknown: each clip counts as one)"
    rows = "\n".join(
        f"| {title} | {' | '.join(shown_interval(test[stage][name]) for stage in ('before', 'after', 'change'))} |"
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
comes out too large: on so many, probabilities that are exactly right would show {chance["mean"]:.3f} on average and up
to {chance["high"]:.3f}.

A recording is judged outright (yes, no) where its most probable class has {figures["applied"]["unsure_below"]:.3f} or
more; else what is possible is called unsure. {_sentence(fit["note"])}.
By the test clips, which this very model answered and which chose nothing, it is
{figures["certification"]["note"]}.
A defect told by letters is not assessable where the model counts fewer than
{figures["applied"]["fewest_letters"]:g} of them.
"""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
