"""The model card of a recogniser: what it hears, what it was trained on, how often it errs, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bundling.card_clips import ORIGIN, groups, hours, sound, speakers, split_rule
from pipeline.bundling.card_gate import champion_section, gate_section
from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.clips.settings import SPLITS
from pipeline.markdown import cell, table
from pipeline.recognition.breakdown import shown_length, shown_rate
from pipeline.recognition.settings import Checkpoint, RecogniserSettings
from speech.bundles.defects import RecogniserConfig, read_gate

_CONFUSIONS = 10


def model_card(
    config: RecogniserConfig, metrics: Mapping[str, Any], clips: ClipSet, training: RecogniserSettings
) -> str:
    """The card as Markdown; `training` are the settings that the recogniser was trained with."""
    base = cell(training.base)
    parts = [
        f"# {config.id}",
        f"""Writes down what is said in recordings of language `{config.language}`, of {config.audio.min_seconds:g} to
{config.audio.max_seconds:g} s; longer ones it hears in windows. Made {config.created}, trained from {base}.""",
        """**Its texts are a draft.** It leaves words out, adds some and hears others; what depends on a text, a
prescription above all, a person reads and hears again.""",
        _data(clips, training),
        _limits(config, clips),
        _test(metrics),
        champion_section(metrics["champion"], "wer", "word error rate"),
        _lengths(metrics["by_length"]),
        _errors(metrics),
        gate_section(read_gate(config), metrics),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(clips: ClipSet, training: RecogniserSettings) -> str:
    rows = []
    for split in SPLITS:
        records = clips.of_split(split)
        told = [record for record in records if record.text is not None]
        rows.append((split, len(records), len(told), _words(told), speakers(records), f"{hours(records):.2f}"))
    archives = ", ".join(map(cell, clips.meta["archives"]))
    return f"""## Data
Recordings of language `{clips.language}` from {archives}:

{table(("split", "clips", "with a text", "words", "speakers", "hours"), rows)}

{split_rule(clips)} {_use(training)}
{ORIGIN}"""


def _use(training: RecogniserSettings) -> str:
    """What the splits were used for."""
    if training.checkpoint is Checkpoint.best:
        use = "Validation clips chose the checkpoint, test clips nothing."
    else:
        use = "Validation clips were learnt from like those of training; test clips neither taught nor chose."
    if training.generated:
        use += f" Beside each recording learnt from, espeak-ng said {training.generated:g} more, not in the table."
    return use


def _words(records: Sequence[ClipRecord]) -> int:
    return sum(len((record.text or "").split()) for record in records)


def _limits(config: RecogniserConfig, clips: ClipSet) -> str:
    training = clips.of_split("train")
    words = {word for record in training for word in (record.text or "").lower().split()}
    lines = [
        f"Other languages than `{config.language}`: they are written down as if they were it.",
        f"Words that are unlike the {len(words)} different ones of the training texts, names above all.",
        "Who speaks, punctuation and capital letters beyond those of the training texts; several people at once.",
        groups(training),
        sound(training),
    ]
    return "## Limits\nWhat these data do not hold, the model has not learned.\n" + "\n".join(f"- {x}" for x in lines)


def _test(metrics: Mapping[str, Any]) -> str:
    told = f"{metrics['speakers']} speakers who are in no training split"
    if not metrics["speakers_known"]:
        told = "speakers unknown: the split is by content, so a speaker may be on both sides"
    drawn = "speakers" if metrics["speakers_known"] else "clips"
    rows = [
        ("word error rate (WER)", shown_rate(metrics), f"{metrics['raw_wer']:.3f}"),
        ("character error rate (CER)", f"{metrics['cer']:.3f}", f"{metrics['raw_cer']:.3f}"),
    ]
    return f"""## Test
{metrics["clips"]} clips, {metrics["words"]} words; {told}. Errors of the whole corpus over its words, in
brackets the middle 95% of bootstrap draws of whole {drawn}.

{table(("", "normalised", "as written"), rows)}

Normalised: both texts in lower case, without punctuation, by the rules of the language's file."""


def _lengths(rows: Sequence[Mapping[str, Any]]) -> str:
    shown = [(shown_length(row), row["clips"], row["words"], shown_rate(row)) for row in rows]
    return f"""### By length
{table(("length", "clips", "words", "WER"), shown)}"""


def _errors(metrics: Mapping[str, Any]) -> str:
    errors = metrics["errors"]
    rows = [
        (row["reference"] or "(nothing)", row["hypothesis"] or "(nothing)", row["count"])
        for row in metrics["confusions"][:_CONFUSIONS]
    ]
    frequent = f"\nThe most frequent:\n\n{table(('said', 'heard', 'times'), rows)}" if rows else ""
    return f"""### Errors
{errors["substitutions"]} words heard as others, {errors["deletions"]} left out, {errors["insertions"]} added.
{frequent}"""
