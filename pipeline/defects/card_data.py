"""What a bundle's data hold, and what they therefore cannot have taught it: two parts of the model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.bundling.card_clips import ORIGIN, groups, hours, sound, speakers, split_rule
from pipeline.clips.dataset import ClipSet
from pipeline.clips.plots import UNLABELLED
from pipeline.clips.records import ClipRecord
from pipeline.clips.settings import SPLITS
from pipeline.markdown import cell, table
from speech.bundles.defects import BundleConfig


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


def _rarest(clips: ClipSet) -> str:
    training = clips.of_split("train", labelled=True)
    by_class = {name: [record for record in training if name in record.labels] for name in clips.classes}
    name = min(by_class, key=lambda label: len(by_class[label]))
    return (
        f"The rarest class in training is {cell(name)}: {len(by_class[name])} clips, speakers: "
        f"{speakers(by_class[name])}."
    )


def _together(training: Sequence[ClipRecord]) -> str:
    found = Counter(record.labels for record in training if len(record.labels) > 1).most_common()
    if not found:
        return "Defects together: no training clip has more than one."
    named = ", ".join(f"{cell(' and '.join(names))} ({clips})" for names, clips in found)
    return f"Defects together, other than these in training, with their clips: {named}."
