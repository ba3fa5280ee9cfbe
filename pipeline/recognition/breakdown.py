"""Error rates by speaker and by length: a mean over the corpus can hide whom a recogniser fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.evaluation.bootstrap import interval, resamples, shown_interval, unit
from pipeline.recognition.scoring import Scored, error_rate, word_counts
from pipeline.recognition.utterances import Utterance

_LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, float("inf"))  # seconds


def corpus_rate(spoken: Sequence[Utterance], scored: Sequence[Scored]) -> dict[str, float | None]:
    """The word error rate: `value`, and `low` and `high` of the middle 95% of bootstrap draws of whole speakers
    (clips where speakers are unknown), None where there are fewer than two."""
    counts = word_counts(scored)
    draws = resamples([unit(one) for one in spoken])
    return interval(error_rate(counts), np.array([error_rate(counts[draw]) for draw in draws]))


def by_speaker(spoken: Sequence[Utterance], scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """A row per known speaker: `speaker`, `clips`, `words`, `wer`; the worst first."""
    rows = []
    for speaker in {one.speaker for one in spoken if one.speaker is not None}:
        own = [figures for one, figures in zip(spoken, scored, strict=True) if one.speaker == speaker]
        rows.append({"speaker": speaker, **_row(own)})
    return sorted(rows, key=lambda row: (-row["wer"], row["speaker"]))


def by_length(spoken: Sequence[Utterance], scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """A row per range of lengths that has clips: `from` and `to` in seconds (`to` None: and longer), `clips`, `words`,
    `wer`, and `low` and `high` as of `corpus_rate`."""
    rows = []
    for first, last in pairwise(_LENGTHS):
        chosen = [index for index, one in enumerate(spoken) if first <= one.seconds < last]
        if chosen:
            own = [scored[index] for index in chosen]
            rate = corpus_rate([spoken[index] for index in chosen], own)
            limits = {"from": first, "to": last if np.isfinite(last) else None}
            rows.append({**limits, **_row(own), "low": rate["low"], "high": rate["high"]})
    return rows


def _row(scored: Sequence[Scored]) -> dict[str, Any]:
    counts = word_counts(scored)
    return {"clips": len(scored), "words": int(counts[:, 1].sum()), "wer": error_rate(counts)}


def shown_rate(row: Mapping[str, Any]) -> str:
    """`wer [low, high]` of a row of `by_length` or, its interval aside, of an evaluation's metrics."""
    bounds = row.get("interval", row)
    return shown_interval({"value": row["wer"], "low": bounds["low"], "high": bounds["high"]})


def shown_length(row: Mapping[str, Any]) -> str:
    """A range of lengths, for people."""
    return f"{row['from']:g} s and longer" if row["to"] is None else f"{row['from']:g} to {row['to']:g} s"
