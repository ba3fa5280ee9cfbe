"""What a letter counts, which words can be read by their letters, and how a text is spelled."""

from __future__ import annotations

import pytest

from speech.text.language import Language, load_language
from speech.text.letters import count_letters, is_readable, spelling, split_words


@pytest.fixture(scope="module")
def russian() -> Language:
    return load_language("ru")


@pytest.mark.parametrize(
    ("word", "r", "g"),
    [
        # р sounds wherever it is written
        ("Трактор", 2, 0), ("корабль", 1, 0), ("РЫБА", 1, 0), ("перерыв", 2, 0),
        # г in front of vowels and voiced consonants
        ("город", 1, 1), ("Гром", 1, 1), ("голубь", 0, 1), ("ноги", 0, 1), ("огурцы", 1, 1), ("погладила", 0, 1),
        # endings with [в], and words that only look like them
        ("красного", 1, 0), ("синего", 0, 0), ("его", 0, 0), ("него", 0, 0), ("кого", 0, 0), ("всего", 0, 0),
        ("ёжистого", 0, 0), ("смеющегося", 0, 0), ("кого-то", 0, 0), ("итого", 0, 0), ("белого", 0, 0),
        ("много", 0, 1), ("немного", 0, 1), ("строго", 1, 1), ("дорого", 1, 1), ("недорого", 1, 1), ("убого", 0, 1),
        ("отлого", 0, 1), ("лего", 0, 1), ("долго", 0, 1), ("благо", 0, 1), ("педагого", 0, 2),
        # both in one word: only the last г is an ending
        ("многого", 0, 1), ("дорогого", 1, 1), ("строгого", 1, 1), ("другого", 1, 1), ("голого", 0, 1),
        ("эколого-географический", 1, 3),
        ("сегодня", 0, 0), ("сегодняшний", 0, 0), ("ничегошеньки", 0, 0),
        # devoiced
        ("друг", 1, 0), ("бог", 0, 0), ("снег", 0, 0), ("друга", 1, 1), ("когти", 0, 0), ("лёгкий", 0, 0),
        ("мягче", 0, 0),
        # interjections with a fricative of their own
        ("ага", 0, 0), ("ого", 0, 0), ("угу", 0, 0),
        # spelling: stress marks, decomposed letters, look-alikes, case
        ("го\u0301род", 1, 1), ("г+ород", 1, 1), ("\u0438\u0306гра", 1, 1), ("гopoд", 1, 1), ("pыбa", 1, 0),
        ("ЛЁГКО", 0, 0),
    ],
)  # fmt: skip
def test_letters_that_sound_as_themselves(russian: Language, word: str, r: int, g: int) -> None:
    assert count_letters(word, russian) == {"р": r, "г": g}


@pytest.mark.parametrize("word", ["город", "что-то", "ёж", "в", "к", "с", "Я", "б", "pыба"])
def test_readable(russian: Language, word: str) -> None:
    assert is_readable(word, russian)


@pytest.mark.parametrize(
    "word", ["22", "2-го", "OK", "park", "др", "р", "г", "РФ", "кг", "руб", "№", "—", "10%", "Дорoga"]
)
def test_spelling_that_does_not_say_what_is_spoken(russian: Language, word: str) -> None:
    assert not is_readable(word, russian)


def test_foreign_words_keep_their_letters(russian: Language) -> None:
    assert split_words("Кафе «Copper», улица", russian) == ["кафе", "copper", "улица"]


@pytest.mark.parametrize(
    ("text", "letters"),
    [("Рог", "рог"), ("ёж — ёлка!", "ежелка"), ("кто-то", "ктото"), ("5 коров", ""), ("", ""), ("weiß", "")],
)
def test_a_text_is_spelled_by_places_in_the_alphabet(russian: Language, text: str, letters: str) -> None:
    assert spelling(text, russian) == tuple(1 + russian.alphabet.index(letter) for letter in letters)
