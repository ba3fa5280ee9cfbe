"""Decoding into a list of words, against all ways there are."""

import itertools

import numpy as np
import pytest

from speech.ctc.lexicon import Lexicon, LexiconSearch, LexiconWord

BLANK, SPACE, A, B = range(4)
WORDS = ((A, B), (B, B), (A,))


def decoded(lexicon: Lexicon, emissions: np.ndarray, piece: int | None = None) -> list[LexiconWord]:
    """All words, of emissions in pieces of so many frames."""
    search, found = LexiconSearch(lexicon), []
    for begin in range(0, len(emissions), piece or max(1, len(emissions))):
        found += search.add(emissions[begin : begin + piece] if piece else emissions)
    return [*found, *search.finish()]


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for place, token in enumerate(path) if (not place or path[place - 1] != token) and token != BLANK]


def words_of(path: tuple[int, ...]) -> list[tuple[int, ...]] | None:
    """The words of a way, None where it goes through other words, or from one to the next without a pause."""
    tokens: list[int | None] = []
    for place, token in enumerate(path):
        if token in (BLANK, SPACE):
            tokens.append(None if token == SPACE else BLANK)
        elif not place or path[place - 1] != token:
            tokens.append(token)
    return split(tokens)


def split(tokens: list[int | None]) -> list[tuple[int, ...]] | None:
    """Every way to cut at pauses; a blank may stand within a word or between two."""
    if not tokens:
        return []
    if tokens[0] in (None, BLANK):
        return split(tokens[1:])
    for end in range(1, len(tokens) + 1):
        word, rest = tokens[:end], tokens[end:]
        if None in word:
            break
        spelt = tuple(token for token in word if token != BLANK)
        if spelt in WORDS and word[-1] != BLANK and (not rest or rest[0] in (None, BLANK)):
            following = split(rest)
            if following is not None:
                return [spelt, *following]
    return None


@pytest.mark.parametrize("seed", range(12))
def test_the_way_through_the_words_is_the_most_probable_one(seed: int) -> None:
    emissions = np.log(np.random.default_rng(seed).dirichlet(np.full(4, 0.5), 6))
    allowed = [path for path in itertools.product(range(4), repeat=6) if words_of(path) is not None]
    best = max(allowed, key=lambda path: sum(emissions[frame, token] for frame, token in enumerate(path)))
    heard = decoded(Lexicon(WORDS, BLANK, (SPACE,)), emissions)
    # The same tokens may be cut otherwise only where two cuts are equally probable: compare what was spelt.
    assert [token for word in heard for token in WORDS[word.word]] == [t for t in collapsed(best) if t != SPACE]


def test_words_have_their_frames_and_silence_none() -> None:
    said = [BLANK, A, A, B, SPACE, BLANK, B, BLANK, B, BLANK]
    emissions = np.full((len(said), 4), np.log(0.01))
    emissions[np.arange(len(said)), said] = np.log(0.97)
    heard = decoded(Lexicon(WORDS, BLANK, (SPACE,)), emissions)
    assert [(word.word, word.start, word.end) for word in heard] == [(0, 1, 4), (1, 6, 9)]
    assert heard[0].log_probability == pytest.approx(np.log(0.97))
    assert decoded(Lexicon(WORDS, BLANK), emissions[:1]) == []
    assert decoded(Lexicon(WORDS, BLANK), emissions[:0]) == []


def test_what_is_misspelt_becomes_the_nearest_word() -> None:
    emissions = np.full((4, 4), np.log(0.1))
    emissions[np.arange(4), [B, A, A, B]] = np.log(0.7)
    assert [word.word for word in decoded(Lexicon([(A, B)], BLANK), emissions)] == [0]


@pytest.mark.parametrize("piece", [1, 2, 7, 50])
@pytest.mark.parametrize("sharpness", [0.2, 1.0])
def test_pieces_say_what_the_whole_says(piece: int, sharpness: float) -> None:
    for seed in range(20):
        emissions = np.log(np.random.default_rng(seed).dirichlet(np.full(4, sharpness), 120)).astype(np.float32)
        lexicon = Lexicon(WORDS, BLANK, (SPACE,))
        assert decoded(lexicon, emissions, piece) == decoded(lexicon, emissions)


def test_what_is_decided_is_forgotten() -> None:
    """Words and pauses for an hour of frames: what is kept is not an hour."""
    said = np.tile([BLANK, A, B, SPACE, BLANK, B, BLANK, B, BLANK, BLANK], 1_000)
    emissions = np.full((len(said), 4), np.log(0.01), np.float32)
    emissions[np.arange(len(said)), said] = np.log(0.97)
    search, words = LexiconSearch(Lexicon(WORDS, BLANK, (SPACE,))), 0
    for begin in range(0, len(said), 500):
        words += len(search.add(emissions[begin : begin + 500]))
        assert len(search._steps) == len(search._left) == len(search._logs) < 500
    assert words >= 1_990
    assert words + len(search.finish()) == 2_000


def test_a_lexicon_needs_words() -> None:
    for words in ((), ((),)):
        with pytest.raises(ValueError, match="needs words"):
            Lexicon(words, BLANK)
