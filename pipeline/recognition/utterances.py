"""Test recordings with what was said in them, and what a recogniser hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.clips.dataset import ClipSet
from pipeline.clips.records import ClipRecord
from pipeline.evaluation.batches import answers_by_length
from pipeline.progress import Report
from speech.ctc.decoding import Transcript
from speech.ctc.folder import Recogniser
from speech.ctc.transcription import transcribe


@dataclass(frozen=True)
class Utterance:
    """A recording whose text is known: its clip's id and content's sha256, its speaker (None where unknown), the text
    as the table has it, seconds, and how to read its samples."""

    clip: str
    content: str
    speaker: str | None
    text: str
    seconds: float
    load: Callable[[], np.ndarray]


def utterances(clips: ClipSet, split: str) -> list[Utterance]:
    """The clips of a split that have a text, in the set's order."""

    def loader(record: ClipRecord) -> Callable[[], np.ndarray]:
        return lambda: clips.samples(record)

    return [
        Utterance(record.id, record.content, clips.speaker(record), record.text, record.seconds, loader(record))
        for record in clips.of_split(split, labelled=True)
        if record.text is not None and record.text.strip()
    ]


def recognise(recogniser: Recogniser, spoken: Sequence[Utterance], batch_size: int, report: Report) -> list[Transcript]:
    """A transcript per utterance, in order, by the very function that serves."""
    return answers_by_length(
        [one.load for one in spoken],
        [one.seconds for one in spoken],
        batch_size,
        report,
        lambda samples: transcribe(recogniser, samples, batch_size),
    )
