"""Which letters sound: the phones of a reading laid over its text."""

from __future__ import annotations

import pytest

from bench.corpora.letters import sounding, words


def timed(phones: str) -> list[tuple[str, float, float]]:
    """Phones of a tenth of a second each."""
    return [(symbol, index / 10, (index + 1) / 10) for index, symbol in enumerate(phones.split())]


def found(text: str, phones: str) -> list[tuple[str, float]]:
    return [(letter, start) for letter, start, _ in sounding(text, timed(phones))]


def test_hard_and_soft_sounds_are_the_letters_times() -> None:
    assert found("Рига г+орит!", "rr ii g a g a rr i t") == [("р", 0.0), ("г", 0.2), ("г", 0.4), ("р", 0.6)]


@pytest.mark.parametrize("phones", ["n oo v a v a", "n oo v a g a"])  # a dictionary's mistake changes nothing
def test_the_g_of_an_ending_is_no_g(phones: str) -> None:
    assert found("нового", phones) == []


def test_much_has_a_g() -> None:
    assert found("много", "m n oo g a") == [("г", 0.3)]
    assert found("намного", "n a m n oo g a") == [("г", 0.5)]


@pytest.mark.parametrize("phones", ["ll oo k", "ll oo g"])
def test_a_last_g_is_devoiced(phones: str) -> None:
    assert found("лёг", phones) == []


def test_a_k_that_is_voiced_is_no_letter_g() -> None:
    assert found("вокзал", "v a g z aa l") == []


def test_a_lost_letter_moves_no_other() -> None:
    assert found("сердце горы", "ss ee r c e g a r yy") == [("р", 0.2), ("г", 0.5), ("р", 0.7)]


def test_words_are_letters_alone() -> None:
    assert words('"Вол+ос", - да: по-Русски') == ["волос", "да", "по", "русски"]
