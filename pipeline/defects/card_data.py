"""What a bundle's data hold, and what they therefore cannot have taught it: two parts of the model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.bundling.markdown import cell, table
from pipeline.clips.dataset import ClipSet
from pipeline.clips.options import SPLITS
from pipeline.clips.plots import UNLABELLED
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import speaker_key
from speech.bundles.defects import BundleConfig

_RATES_SHOWN = 4
ORIGIN = """Whether these are people or generated voices the data do not say, and the sound does not tell for certain:
whoever publishes this model says which they are. Figures on generated voices say nothing of people."""
_FULL_BAND = 16_000  # hertz; what is recorded at less lacks the upper part of what the model is given


def data_section(clips: ClipSet) -> str:
    """Clips, speakers and hours of each split, by class, and where they come from."""
    rows = []
    for split in SPLITS:
        records = clips.of_split(split)
        labels = Counter(name for record in records for name in record.labels or (UNLABELLED,))
        counts = [labels[name] for name in (*clips.classes, UNLABELLED)]
        rows.append([split, len(records), speakers(records), f"{hours(records):.2f}", *counts])
    header = ["split", "clips", "speakers", "hours", *clips.classes, UNLABELLED]
    archives = ", ".join(map(cell, clips.meta["archives"]))
    several = "" if clips.exclusive else ", one of several classes under each of them"
    return f"""## Data
Recordings of language `{clips.language}` from {archives}; clips by class{several}:

{table(header, rows)}

{split_rule(clips)} Validation clips chose the checkpoint and the calibration, test clips nothing.
{ORIGIN}"""


def limits_section(config: BundleConfig, clips: ClipSet) -> str:
    """What the model was not taught, as far as the data tell."""
    lines = [
        f"Other languages than `{config.language}`, and recordings shorter than {config.audio.min_seconds:g} s or "
        f"longer than {config.audio.max_seconds:g} s, which the service refuses.",
        _rarest(clips),
        groups(clips.of_split("train")),
        sound(clips.of_split("train")),
        "Defects other than these classes: speech with another one is put into the class that it resembles most."
        if clips.exclusive
        else "Defects other than these classes: speech with another one may be given any of these, or none.",
    ]
    if not clips.exclusive:
        lines.append(_together(clips.of_split("train")))
    return "## Limits\nWhat these data do not hold, the model has not learned.\n" + "\n".join(f"- {x}" for x in lines)


def hours(records: Sequence[ClipRecord]) -> float:
    """Hours of sound."""
    return sum(record.seconds for record in records) / 3600


def split_rule(clips: ClipSet) -> str:
    """Whether a speaker may be in two splits, in a sentence."""
    if clips.speakers_known:
        return "No speaker is in two splits."
    return "Speakers are unknown: the split is by content, so a speaker may be on both sides."


def speakers(records: Sequence[ClipRecord]) -> int | str:
    """How many speakers are known, or that they are not."""
    known = {(record.archive, speaker_key(record.speaker)) for record in records if record.speaker is not None}
    return len(known) or ("unknown" if records else 0)


def _rarest(clips: ClipSet) -> str:
    training = clips.of_split("train", labelled=True)
    by_class = {name: [record for record in training if name in record.labels] for name in clips.classes}
    name = min(by_class, key=lambda label: len(by_class[label]))
    return (
        f"The rarest class in training is {cell(name)}: {len(by_class[name])} clips, speakers: "
        f"{speakers(by_class[name])}."
    )


def groups(training: Sequence[ClipRecord]) -> str:
    """Groups of speakers, in a sentence."""
    counts = Counter(record.group for record in training if record.group is not None)
    if not counts:
        return "The table names no groups of speakers: how it does by age, sex or accent cannot be told."
    named = ", ".join(f"{cell(name)} ({clips})" for name, clips in counts.most_common())
    return f"Groups of speakers in training, with their clips: {named}; {len(training) - counts.total()} of no group."


def _together(training: Sequence[ClipRecord]) -> str:
    found = Counter(record.labels for record in training if len(record.labels) > 1).most_common()
    if not found:
        return "Defects together: no training clip has more than one."
    named = ", ".join(f"{cell(' and '.join(names))} ({clips})" for names, clips in found)
    return f"Defects together, other than these in training, with their clips: {named}."


def sound(training: Sequence[ClipRecord]) -> str:
    """Sample rates of the recordings, in a sentence."""
    rates = Counter(record.source_rate for record in training).most_common()
    shown = ", ".join(f"{rate} Hz ({clips})" for rate, clips in rates[:_RATES_SHOWN])
    narrow = sum(clips for rate, clips in rates if rate < _FULL_BAND)
    telephone = "" if narrow else "; none below 16000 Hz, as a telephone gives"
    return f"Sample rates of the training recordings, with their clips: {shown or 'none'}{telephone}."
