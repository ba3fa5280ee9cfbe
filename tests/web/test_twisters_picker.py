"""What is chosen, and what is put together."""

from __future__ import annotations

import random
import re

import pytest

from web.twisters import choose, load_collection
from web.twisters.assembly import assemble
from web.twisters.richness import is_rich, richness

TRAINED = {"ru": [*"бвгджзклмнпрстфцч"], "en": [*"bdfghklmnprstvw", "sh", "ch", "th"]}


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("length", ["short", "middle", "long"])
def test_is_made_for_the_sound_difficulty_and_length(language: str, difficulty, length) -> None:
    for sound in TRAINED[language]:
        twister = choose(language, [sound], difficulty, length, (), random.Random(5))
        assert twister.rich, (sound, twister.text)
        assert (twister.difficulty, twister.length) == (difficulty, length), (sound, twister.text)
        assert twister.coverage[sound] >= 2
        assert twister.missing == ()


@pytest.mark.parametrize(
    ("language", "sounds"), [("ru", "рл"), ("ru", "гк"), ("ru", "шсж"), ("en", "szc"), ("en", "rl")]
)
@pytest.mark.parametrize("length", ["short", "middle", "long"])
def test_all_wanted_sounds_are_there(language: str, sounds: str, length) -> None:
    for seed in range(10):
        twister = choose(language, list(sounds), 2, length, (), random.Random(seed))
        assert twister.rich
        assert all(twister.coverage[sound] >= (1 if twister.length == "short" else 2) for sound in sounds)


def test_equal_seeds_give_equal_texts_and_others_other_ones() -> None:
    def first(seed: int) -> str:
        return choose("ru", ["р"], 2, "middle", (), random.Random(seed)).id

    assert first(3) == first(3)
    assert len({first(seed) for seed in range(40)}) > 10


@pytest.mark.parametrize("sounds", [["щ"], []])
def test_nothing_recent_comes_again_even_when_written_texts_run_out(sounds: list[str]) -> None:
    recent: list[str] = []
    rng = random.Random(1)
    for _ in range(120):
        recent.append(choose("ru", sounds, 1, "short", recent, rng).id)
    assert len(set(recent)) == 120


def test_everything_written_may_be_recent() -> None:
    had = {entry.id for entry in load_collection("en").entries}
    for sounds in ([], ["r"], ["x"]):
        twister = choose("en", sounds, 2, "middle", had, random.Random(2))
        assert twister.assembled
        assert twister.id not in had


def test_a_rare_letter_gets_the_richest_there_is_and_says_so() -> None:
    twister = choose("ru", ["ъ"], 2, "short", (), random.Random(1))
    assert twister.coverage["ъ"] >= 1
    assert not twister.rich
    assert twister.missing == ()


def test_an_unknown_letter_is_missing_and_the_others_are_there() -> None:
    twister = choose("ru", ["Р", "ґ"], 1, "middle", (), random.Random(1))
    assert twister.missing == ("ґ",)
    assert not twister.rich
    assert twister.coverage["р"] >= 3
    assert choose("ru", ["ґ"], 1, "short", (), random.Random(1)).missing == ("ґ",)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_any_letter_of_the_alphabet_gets_a_text_with_it(language: str) -> None:
    for letter in load_collection(language).file.alphabet:
        assert choose(language, [letter], 2, "middle", (), random.Random(1)).missing == (), letter


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_without_sounds_it_is_for_fluency(language: str, difficulty) -> None:
    smooth = {entry.id for entry in load_collection(language).entries if "stutter" in entry.purposes}
    for length in ("short", "middle", "long"):
        twister = choose(language, [], difficulty, length, (), random.Random(1))
        assert twister.id in smooth
        assert twister.difficulty == difficulty


def test_reading_takes_longer_when_the_text_is_longer() -> None:
    short = choose("ru", ["р"], 2, "short", (), random.Random(1))
    long = choose("ru", ["р"], 2, "long", (), random.Random(1))
    assert 0.8 < short.seconds < 4 < long.seconds < 12


@pytest.mark.parametrize("language", ["ru", "en"])
def test_assembled_texts_are_sentences(language: str) -> None:
    collection = load_collection(language)
    parts = {part.casefold() for rows in collection.file.parts.values() for part in rows}
    rng = random.Random(9)
    seen = set()
    for _ in range(400):
        sound = rng.choice(TRAINED[language])
        text = assemble(collection, [sound], rng.choice((1, 2, 3)), rng).text
        seen.add(text)
        assert text[0].isupper(), text
        assert text.endswith("."), text
        assert not re.search(r"[{}]|\s\s|\s[,.]|,,", text), text
        assert collection.coverage(text).get(sound, 0) >= 1, text
        assert any(part in text.casefold() for part in parts)
        names = re.findall(r"(?<!^)\b[^\W\d_]{3,}\b", text)
        titles = [name for name in names if name.istitle()]
        assert len(set(titles)) == len(titles), text
    assert len(seen) > 300


def test_rich_means_often_and_balanced() -> None:
    assert not is_rich({"р": 2}, 40, ["р"])
    assert not is_rich({"р": 3}, 80, ["р"])
    assert is_rich({"р": 4}, 40, ["р"])
    assert not is_rich({"р": 9, "л": 1}, 40, ["р", "л"])
    assert richness({"р": 4, "л": 4}, 40, ["р", "л"]) > richness({"р": 7, "л": 1}, 40, ["р", "л"])
