"""Words of a known text in time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from speech.text.alignment import AlignmentError, align, best_path
from speech.text.language import Language, load_language

FRAME = 0.02


@pytest.fixture(scope="module")
def russian() -> Language:
    return load_language("ru")


def said(places: dict[int, str], frames: int, language: Language, sure: float = 0.9) -> np.ndarray:
    """Log probabilities of spelling a letter at each of these frames, and none elsewhere."""
    size = 1 + len(language.alphabet)
    values = np.full((frames, size), (1 - sure) / (size - 1))
    values[:, 0] = sure
    for frame, letter in places.items():
        values[frame] = (1 - sure) / (size - 1)
        values[frame, 1 + language.alphabet.index(letter)] = sure
    return np.log(values)


def test_letters_begin_where_they_are_spelled(russian: Language) -> None:
    spelling = said({3: "р", 4: "р", 7: "о", 11: "г"}, 16, russian)
    letters = [1 + russian.alphabet.index(letter) for letter in "рог"]
    assert best_path(spelling, letters) == [3, 7, 11]


def test_a_letter_twice_needs_a_rest_between(russian: Language) -> None:
    letters = [1 + russian.alphabet.index(letter) for letter in "сс"]
    assert best_path(said({2: "с", 6: "с"}, 9, russian), letters) == [2, 6]
    with pytest.raises(AlignmentError, match="too short"):
        best_path(said({}, 2, russian), letters)


def test_words_have_their_times_and_their_spelling(russian: Language) -> None:
    spelling = said({3: "р", 5: "о", 7: "г", 15: "и", 21: "д", 23: "а"}, 30, russian)
    words = align("Рог — и да!", spelling, FRAME, russian).words
    assert [word.text for word in words] == ["Рог", "и", "да!"]
    assert [word.start for word in words] == [0.06, 0.3, 0.42]
    assert all(0 < word.end - word.start < 0.3 for word in words)
    assert all(one.end <= other.start for one, other in itertools.pairwise(words))


def test_letters_have_their_frames_and_say_which_marker_sounds(russian: Language) -> None:
    """A devoiced г, and the в that is written г, are no г."""
    spelling = said({2: "г", 4: "о", 6: "р", 8: "о", 10: "д", 14: "е", 16: "г", 18: "о"}, 22, russian)
    letters = align("Город, его.", spelling, FRAME, russian).letters
    assert [letter.frame for letter in letters] == [2, 4, 6, 8, 10, 14, 16, 18]
    assert [letter.word for letter in letters] == [0, 0, 0, 0, 0, 1, 1, 1]
    assert "".join(russian.alphabet[letter.column - 1] for letter in letters) == "городего"
    assert [letter.marker for letter in letters] == ["г", None, "р", None, None, None, None, None]


def test_the_best_path_is_the_best_of_all(russian: Language) -> None:
    """Against every path, on few frames."""
    from itertools import combinations

    rng = np.random.default_rng(0)
    for _ in range(30):
        spelling = np.log(rng.dirichlet(np.ones(4), size=6))
        found = best_path(spelling, [1, 2])
        scores = {}
        for a, b, c, d in combinations(range(7), 4):  # letter 1 in [a, b), letter 2 in [c, d)
            scores[a, b, c, d] = spelling[[*range(a), *range(b, c), *range(d, 6)], 0].sum() + (
                spelling[a:b, 1].sum() + spelling[c:d, 2].sum()
            )
        for a, b, d in combinations(range(7), 3):  # without a rest between them
            scores[a, b, b, d] = spelling[[*range(a), *range(d, 6)], 0].sum() + (
                spelling[a:b, 1].sum() + spelling[b:d, 2].sum()
            )
        a, _, c, _ = max(scores, key=lambda key: scores[key])
        assert found == [a, c]


@pytest.mark.parametrize(("text", "message"), [("", "no word"), ("— !", "no word"), ("weiß рог", "weiß"), ("5", "5")])
def test_a_text_that_cannot_be_laid_is_named(text: str, message: str, russian: Language) -> None:
    with pytest.raises(AlignmentError, match=message):
        align(text, said({}, 20, russian), FRAME, russian)
