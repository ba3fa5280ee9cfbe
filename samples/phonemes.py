"""What is spoken, as strings of espeak-ng's Russian phonemes: plain, with a replaced sound, or stuttered.

An utterance is a list of words, a word a list of phoneme mnemonics, a mnemonic perhaps with stress marks before it.
Everything here is a pure function of its arguments and of the random generator it is given.
"""

from __future__ import annotations

import random

Word = list[str]
Utterance = list[Word]

SEPARATOR = "|"  # espeak-ng's own mark between mnemonics that would otherwise run together
PAUSE = "_:"
PAUSE_SECONDS = 0.09  # measured at 130 words a minute; shrinks and grows with the rate as other phonemes do
PHONEME_SECONDS = 0.08  # a typical consonant or unstressed vowel at that rate
PALATAL = ";"  # a soft consonant; espeak-ng prints it as a phoneme of its own, at a word's end as I^
STRESS_MARKS = "',%="

EASING = "@-"  # the short vowel that espeak-ng puts before some trills on its own
TRILLED = "r"
PLOSIVE_G = "g"
UVULAR_FRICATIVE = 'Q"'
UVULAR_TRILL = 'r"'
VELAR_FRICATIVE = "Q"

GLIDED_VOWELS = frozenset(("ja", "ju"))
VOWELS = GLIDED_VOWELS | frozenset(("a", "a#", "A", "e", "E", "E#", "i", "I", "y", "o", "8", "u", 'u"', "V", "@", "@-"))
# Sounds that can be held. A trill, a plosive or a glide is not: its mnemonic twice is heard as a repetition.
HELD = (VOWELS - GLIDED_VOWELS) | frozenset(
    ("s", "s;", "z", "z;", "S", "S;", "Z", "f", "f;", "v", "v;", "m", "m;", "n", "n;", "n_", "l", "l;", "x")
)


class NothingToReplaceError(ValueError):
    """A sentence in which the phoneme to be replaced does not occur."""


def parse(printed: str) -> Utterance:
    """The words in what `espeak-ng -x --sep=|` prints, clauses joined."""
    joined = printed.replace(SEPARATOR + "I^", PALATAL).replace(SEPARATOR + PALATAL, PALATAL)
    return [[token for token in word.split(SEPARATOR) if token] for word in joined.split()]


def spell(utterance: Utterance) -> str:
    """The text that makes espeak-ng speak `utterance`."""
    return "[[" + " ".join(SEPARATOR.join(word) for word in utterance) + "]]"


def bare(token: str) -> str:
    """A mnemonic without its stress marks."""
    return token.lstrip(STRESS_MARKS)


def count(utterance: Utterance, phoneme: str) -> int:
    """How often `phoneme` is spoken, hard or soft."""
    return sum(_is(token, phoneme) for word in utterance for token in word)


def agree(one: Utterance, other: Utterance) -> bool:
    """Whether as many phonemes are spoken, and the same ones of those that a defect is made of.

    The rest may differ: espeak-ng reduces vowels, assimilates consonants and eases a trill in, by what stands beside.
    """
    made_of = (TRILLED, PLOSIVE_G, UVULAR_FRICATIVE, UVULAR_TRILL, VELAR_FRICATIVE)
    lengths = [sum(bare(token) != EASING for word in spoken for token in word) for spoken in (one, other)]
    return lengths[0] == lengths[1] and all(count(one, phoneme) == count(other, phoneme) for phoneme in made_of)


def replace(utterance: Utterance, phoneme: str, by: str) -> Utterance:
    """`utterance` with `phoneme` spoken as `by`, soft where it was soft; raises `NothingToReplaceError` if it has none.

    Letters do not matter here: a г that is spoken as [k] or [v] is no [g] and stays.
    """
    if not count(utterance, phoneme):
        raise NothingToReplaceError(f"no [{phoneme}] is spoken in {spell(utterance)}; choose another sentence")
    return [[_exchanged(token, phoneme, by) for token in word] for word in utterance]


def _is(token: str, phoneme: str) -> bool:
    return bare(token) in (phoneme, phoneme + PALATAL)


def _exchanged(token: str, phoneme: str, by: str) -> str:
    if not _is(token, phoneme):
        return token
    return by + PALATAL if token.endswith(PALATAL) else by


def with_pauses(utterance: Utterance, extra: float, rng: random.Random) -> Utterance:
    """`utterance` with about `extra` seconds of pauses between its words, spread over one to three gaps."""
    left = round(extra / PAUSE_SECONDS)
    gaps = rng.sample(range(1, len(utterance)), k=min(rng.randint(1, 3), len(utterance) - 1))
    shares = [0] * len(utterance)
    for _ in range(left):
        shares[rng.choice(gaps)] += 1
    spoken: Utterance = []
    for word, pauses in zip(utterance, shares, strict=True):
        spoken += [[PAUSE] * pauses] if pauses else []
        spoken.append(word)
    return spoken


def seconds(utterance: Utterance) -> float:
    """About how long `utterance` takes at 130 words a minute."""
    tokens = [token for word in utterance for token in word]
    return sum(PAUSE_SECONDS if token == PAUSE else PHONEME_SECONDS for token in tokens)


def stuttered(utterance: Utterance, extra: float, rng: random.Random, times: int | None = None) -> Utterance:
    """`utterance` with one to three disfluent words that add about `extra` seconds; `times` says how many.

    A disfluency is a repeated first syllable or sound, a held first sound, or a block (a silence inside the word).
    """
    words = [list(word) for word in utterance]
    left = extra
    if times is not None:
        for index in rng.sample(range(len(words)), k=min(times, len(words))):
            words[index], _ = _disfluent(words[index], extra / times, rng)
        return words
    for index in rng.sample(range(len(words)), k=min(3, len(words))):
        words[index], spent = _disfluent(words[index], left, rng)
        left -= spent
        if left < 2 * PAUSE_SECONDS:
            break
    return words


def _disfluent(word: Word, extra: float, rng: random.Random) -> tuple[Word, float]:
    kind = rng.choice(("syllable", "sound", "held", "block"))
    first = bare(word[0])
    if kind == "held" and first in HELD:
        times = _within(3, 7, extra / PHONEME_SECONDS)
        return [first] * times + word, times * PHONEME_SECONDS
    if kind == "block" and len(word) > 2:
        pauses = _within(3, 6, extra / PAUSE_SECONDS)
        at = rng.randint(1, 2)
        return word[:at] + [PAUSE] * pauses + word[at:], pauses * PAUSE_SECONDS
    length = 1 if kind == "sound" else _first_vowel(word) + 1
    onset = [bare(token) for token in word[:length]]
    turn = [*onset, PAUSE]
    turn_seconds = length * PHONEME_SECONDS + PAUSE_SECONDS
    times = _within(2, 4, extra / turn_seconds)
    return turn * times + word, times * turn_seconds


def _first_vowel(word: Word) -> int:
    return next((index for index, token in enumerate(word) if bare(token) in VOWELS), 0)


def _within(low: int, high: int, value: float) -> int:
    return max(low, min(high, round(value)))
