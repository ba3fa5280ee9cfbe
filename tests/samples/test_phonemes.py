"""Which phonemes are spoken, and how a defect changes them."""

from __future__ import annotations

import random

import pytest

from samples import phonemes

# What espeak-ng 1.51 prints with -x --sep=| for "Игорь громко говорит", and for "город; снег" as two clauses.
PRINTED = "'I|g|V|r|I^ g|r|'o|m|k|V g|V|v|V|r|;|'i|t"
CLAUSES = "g|'o|r|V|t\ns|;|n|;|'e|k\n"


def test_soft_consonants_are_one_phoneme() -> None:
    words = phonemes.parse(PRINTED)
    assert words[0] == ["'I", "g", "V", "r;"]
    assert words[2] == ["g", "V", "v", "V", "r;", "'i", "t"]


def test_clauses_are_joined() -> None:
    assert phonemes.parse(CLAUSES) == [["g", "'o", "r", "V", "t"], ["s;", "n;", "'e", "k"]]


def test_spelling_is_in_double_brackets() -> None:
    assert phonemes.spell([["g", "'o"], ["_:"], ["r;"]]) == "[[g|'o _: r;]]"


@pytest.mark.parametrize("by", [phonemes.UVULAR_FRICATIVE, phonemes.UVULAR_TRILL])
def test_burr_replaces_every_trill_and_nothing_else(by: str) -> None:
    plain = phonemes.parse(PRINTED)
    burred = phonemes.replace(plain, phonemes.TRILLED, by)
    changed = [(a, b) for before, after in zip(plain, burred, strict=True) for a, b in zip(before, after, strict=True)]
    assert [pair for pair in changed if pair[0] != pair[1]] == [("r;", by + ";"), ("r", by), ("r;", by + ";")]
    assert phonemes.count(burred, phonemes.TRILLED) == 0
    assert phonemes.count(burred, by) == 3


def test_a_devoiced_letter_is_left_alone() -> None:
    plain = phonemes.parse(CLAUSES)  # снег ends in [k]
    fricative = phonemes.replace(plain, phonemes.PLOSIVE_G, phonemes.VELAR_FRICATIVE)
    assert fricative == [["Q", "'o", "r", "V", "t"], ["s;", "n;", "'e", "k"]]


def test_nothing_to_replace_is_an_error() -> None:
    with pytest.raises(phonemes.NothingToReplaceError, match=r"no \[g\] is spoken"):
        phonemes.replace([["s;", "n;", "'e", "k"]], phonemes.PLOSIVE_G, phonemes.VELAR_FRICATIVE)


@pytest.mark.parametrize("seed", range(20))
def test_pauses_stand_between_words(seed: int) -> None:
    plain = phonemes.parse(PRINTED)
    spoken = phonemes.with_pauses(plain, 0.9, random.Random(seed))
    pauses = [word for word in spoken if phonemes.PAUSE in word]
    assert [word for word in spoken if phonemes.PAUSE not in word] == plain
    assert sum(map(len, pauses)) == round(0.9 / phonemes.PAUSE_SECONDS)
    assert phonemes.PAUSE not in spoken[0] + spoken[-1]


@pytest.mark.parametrize("seed", range(40))
def test_stutter_adds_time_inside_words_and_keeps_them(seed: int) -> None:
    plain = phonemes.parse(PRINTED)
    spoken = phonemes.stuttered(plain, 0.6, random.Random(seed))
    changed = [(a, b) for a, b in zip(plain, spoken, strict=True) if a != b]
    assert 1 <= len(changed) <= 3
    for before, after in changed:
        repeated_or_held = after[-len(before) :] == before
        block = [token for token in after if token != phonemes.PAUSE] == before
        assert repeated_or_held or block
    assert 0.2 <= phonemes.seconds(spoken) - phonemes.seconds(plain) <= 1.5


def test_every_kind_of_disfluency_occurs() -> None:
    plain = [["s", "'A", "t", "y"]]
    kinds = {tuple(phonemes.stuttered(plain, 0.5, random.Random(seed))[0][:4]) for seed in range(60)}
    assert ("s", "s", "s", "s") in kinds  # held
    assert ("s", "_:", "s", "_:") in kinds  # the sound repeated
    assert ("s", "A", "_:", "s") in kinds  # the syllable repeated
    assert kinds & {("s", "_:", "_:", "_:"), ("s", "'A", "_:", "_:")}  # blocks


def test_what_espeak_changes_by_itself_is_no_disagreement() -> None:
    asked = [["d", "V", "_:", "r", "'o", "Z"]]
    assert phonemes.agree(asked, [["d", "a", "_:", "@-", "r", "'o", "Z"]])


@pytest.mark.parametrize("heard", [[["d", "V", "r", "'o", "Z"]], [["d", "V", "_:", "l", "'o", "Z"]]])
def test_a_lost_or_other_phoneme_is_a_disagreement(heard: phonemes.Utterance) -> None:
    assert not phonemes.agree([["d", "V", "_:", "r", "'o", "Z"]], heard)
