"""What both recipes' cards say of the clips a model was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import speaker_key
from pipeline.markdown import cell

_RATES_SHOWN = 4
ORIGIN = """Whether these are people or generated voices the data do not say, and the sound does not tell for certain:
whoever publishes this model says which they are. Figures on generated voices say nothing of people."""
_FULL_BAND = 16_000  # hertz; what is recorded at less lacks the upper part of what the model is given


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


def groups(training: Sequence[ClipRecord]) -> str:
    """Groups of speakers, in a sentence."""
    counts = Counter(record.group for record in training if record.group is not None)
    if not counts:
        return "The table names no groups of speakers: how it does by age, sex or accent cannot be told."
    named = ", ".join(f"{cell(name)} ({clips})" for name, clips in counts.most_common())
    return f"Groups of speakers in training, with their clips: {named}; {len(training) - counts.total()} of no group."


def sound(training: Sequence[ClipRecord]) -> str:
    """Sample rates of the recordings, in a sentence."""
    rates = Counter(record.source_rate for record in training).most_common()
    shown = ", ".join(f"{rate} Hz ({clips})" for rate, clips in rates[:_RATES_SHOWN])
    narrow = sum(clips for rate, clips in rates if rate < _FULL_BAND)
    telephone = "" if narrow else "; none below 16000 Hz, as a telephone gives"
    return f"Sample rates of the training recordings, with their clips: {shown or 'none'}{telephone}."
