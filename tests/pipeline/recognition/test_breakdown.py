from __future__ import annotations

import numpy as np
import pytest

from pipeline.recognition.breakdown import by_length, by_speaker, corpus_rate, shown_length, shown_rate
from pipeline.recognition.pictures import wer_by_length, wer_by_speaker
from pipeline.recognition.scoring import score
from pipeline.recognition.utterances import Utterance

SAID = ["а б в г"] * 8
HEARD = ["а б в г"] * 4 + ["а б в"] * 2 + ["д е ж з"] * 2


def spoken(speakers: list[str | None], seconds: list[float]) -> list[Utterance]:
    return [
        Utterance(f"{index:02}", f"{index:064}", speaker, text, length, lambda: np.zeros(16_000, np.float32))
        for index, (speaker, text, length) in enumerate(zip(speakers, SAID, seconds, strict=True))
    ]


def test_rates_by_speaker_the_worst_first() -> None:
    rows = by_speaker(spoken(["анна"] * 4 + ["борис"] * 2 + [None] * 2, [1.5] * 8), score(SAID, HEARD))
    assert rows == [
        {"speaker": "борис", "clips": 2, "words": 8, "wer": 0.25},
        {"speaker": "анна", "clips": 4, "words": 16, "wer": 0.0},
    ]


def test_rates_by_length_leave_out_lengths_that_no_clip_has() -> None:
    rows = by_length(spoken([None] * 8, [0.8] * 4 + [45.0] * 4), score(SAID, HEARD))
    assert [(row["from"], row["to"], row["clips"]) for row in rows] == [(0.0, 1.0, 4), (30.0, None, 4)]
    assert rows[1]["wer"] == pytest.approx(10 / 16)
    assert rows[1]["low"] < rows[1]["wer"] < rows[1]["high"]
    assert [shown_length(row) for row in rows] == ["0 to 1 s", "30 s and longer"]
    assert shown_rate(rows[0]) == "0.000 [0.000, 0.000]"


def test_the_interval_draws_whole_speakers() -> None:
    scored = score(SAID, HEARD)
    by_clip = corpus_rate(spoken([None] * 8, [1.0] * 8), scored)
    by_voice = corpus_rate(spoken(["a"] * 4 + ["b"] * 4, [1.0] * 8), scored)
    assert by_clip["value"] == by_voice["value"] == pytest.approx(10 / 32)
    # Two voices, one without an error and one with 10 in 16 words: nothing lies between but their mean.
    assert (by_voice["low"], by_voice["high"]) == (0.0, 0.625)
    assert by_clip["low"] > 0.0
    assert corpus_rate(spoken(["a"] * 8, [1.0] * 8), scored)["low"] is None


def test_pictures_are_drawn_of_names_with_anything_in_them() -> None:
    rows = [{"speaker": f"$x_{number}^<b>", "words": 3, "wer": 0.1 * number} for number in range(40)]
    assert wer_by_speaker(rows, 0.3).startswith(b"\x89PNG")
    lengths = [{"from": 1.0, "to": None, "words": 3, "wer": 0.5, "low": None, "high": None}]
    assert wer_by_length(lengths).startswith(b"\x89PNG")
