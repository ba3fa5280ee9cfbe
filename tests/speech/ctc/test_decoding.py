"""Greedy decoding: repetitions and blanks, words in time, confidence, marks that are no text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from speech.ctc.decoding import decode
from speech.ctc.folder import Recogniser
from tests.recognisers import peaked, spoken, tiny_lasr, tiny_recogniser


@pytest.fixture
def letters(tmp_path: Path) -> Recogniser:
    return tiny_recogniser(tmp_path)


def test_letters_become_words_with_their_times(letters: Recogniser) -> None:
    heard = decode(spoken(letters, letters.ids_of("да нет"), frames_each=3), letters)
    assert heard.text == "да нет"
    # A blank, then each of the six tokens for three frames of 20 ms and a blank.
    assert [(word.text, word.start, word.end) for word in heard.words] == [
        ("да", pytest.approx(0.02), pytest.approx(0.16)),
        ("нет", pytest.approx(0.26), pytest.approx(0.48)),
    ]
    assert heard.seconds == pytest.approx(25 * 0.02)


def test_repetitions_are_one_letter_and_a_blank_between_them_makes_two(letters: Recogniser) -> None:
    a, n = letters.ids_of("ан")
    assert decode(peaked([a, a, n, n, n, a], letters.vocabulary_size), letters).text == "ана"
    assert decode(peaked([a, n, 0, n, a], letters.vocabulary_size), letters).text == "анна"


def test_confidence_is_the_geometric_mean_of_the_tokens(letters: Recogniser) -> None:
    da, net = (spoken(letters, letters.ids_of(text), sure=sure) for text, sure in (("да|", 0.9), ("нет", 0.4)))
    heard = decode(np.concatenate([da, net]), letters)
    assert [word.confidence for word in heard.words] == [pytest.approx(0.9, abs=1e-3), pytest.approx(0.4, abs=1e-3)]
    assert heard.confidence == pytest.approx(math.exp((2 * math.log(0.9) + 3 * math.log(0.4)) / 5), abs=1e-3)


def test_silence_is_no_word_and_as_sure_as_its_frames(letters: Recogniser) -> None:
    heard = decode(peaked([0] * 50, letters.vocabulary_size, 0.8), letters)
    assert (heard.text, heard.words, heard.seconds) == ("", (), pytest.approx(1.0))
    assert heard.confidence == pytest.approx(0.8, abs=1e-3)
    assert decode(np.zeros((0, letters.vocabulary_size), np.float32), letters).confidence == 0.0


def test_delimiters_alone_are_no_word(letters: Recogniser) -> None:
    assert decode(spoken(letters, [1, 1, *letters.ids_of("да"), 1, 1]), letters).text == "да"


def test_parts_of_words_and_the_end_of_the_text() -> None:
    recogniser = tiny_lasr()
    ids = recogniser.ids_of("пациент в норме")
    end = recogniser.processor.tokenizer.eos_token_id
    heard = decode(spoken(recogniser, [*ids, end]), recogniser)
    assert heard.text == "пациент в норме"
    assert [word.text for word in heard.words] == ["пациент", "в", "норме"]
    ends = [word.end for word in heard.words]
    assert all(word.start < word.end for word in heard.words)
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx((4 * len(ids)) * 0.04)


def test_a_word_in_several_pieces_is_one_word() -> None:
    recogniser = tiny_lasr()
    tokens = recogniser.processor.tokenizer.convert_tokens_to_ids(["▁па", "ци", "ент", "▁", "▁в"])
    heard = decode(spoken(recogniser, tokens), recogniser)
    assert [word.text for word in heard.words] == ["пациент", "в"]


def test_unknown_tokens_are_not_written(letters: Recogniser) -> None:
    d, a = letters.ids_of("да")
    assert decode(spoken(letters, [2, d, 2, a, 0]), letters).text == "да"
