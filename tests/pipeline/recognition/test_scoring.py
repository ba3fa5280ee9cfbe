from __future__ import annotations

import numpy as np
import pytest

from pipeline.recognition.scoring import (
    character_counts,
    confusions,
    error_kinds,
    error_rate,
    score,
    word_counts,
)

SAID = ["включи свет на кухне", "пять", "два три четыре"]
HEARD = ["включи цвет на на кухне", "пять", "два"]


def test_errors_are_counted_by_kind_and_summed_over_the_corpus() -> None:
    scored = score(SAID, HEARD)
    assert [one.errors for one in scored] == [2, 0, 2]
    assert error_kinds(scored) == {"substitutions": 1, "insertions": 1, "deletions": 2}
    assert word_counts(scored).tolist() == [[2, 4], [0, 1], [2, 3]]
    # 4 of 8 words; the mean of the clips' rates would be 0.39.
    assert error_rate(word_counts(scored)) == pytest.approx(0.5)


def test_characters_are_counted_with_their_spaces() -> None:
    scored = score(["кот спит"], ["кит спит"])
    assert character_counts(scored).tolist() == [[1, 8]]


def test_confusions_name_what_was_said_and_heard_the_most_frequent_first() -> None:
    scored = score(["а б", "а б", "в"], ["а г", "а г", "в д"])
    assert confusions(scored, 5) == [
        {"reference": "б", "hypothesis": "г", "count": 2},
        {"reference": "", "hypothesis": "д", "count": 1},
    ]
    assert len(confusions(scored, 1)) == 1


def test_an_empty_text_has_errors_only_where_something_is_heard() -> None:
    silent, noisy = score(["", ""], ["", "да"])
    assert (silent.errors, silent.words, silent.wer) == (0, 0, 0.0)
    assert (noisy.errors, noisy.words, noisy.wer) == (1, 0, 1.0)
    assert error_rate(np.zeros((0, 2))) == 0.0
    assert score([], []) == []


def test_more_errors_than_words_are_a_rate_above_one() -> None:
    (one,) = score(["да"], ["нет нет нет"])
    assert one.wer == 3.0
