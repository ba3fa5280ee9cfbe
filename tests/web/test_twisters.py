"""The texts themselves, how they are read and how their sounds are counted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from web.twisters import TwisterError, coverage, languages, load_collection
from web.twisters.collection import length_of, read_collection

CONSONANTS = {
    "ru": [*"бвгджзклмнпрстфхцчшщ", "рь", "ль"],
    "en": [*"bcdfghjklmnprstvwz", "sh", "ch", "th"],
}
FLOOR = 8
"""Texts that hold a consonant three times or oftener: a week of practice without one coming twice."""
# Verbs of the third person, one of which an action begins with but for an adverb.
PRESENT = {"ru": re.compile(r"(бодро )?(ест|\w+[еёиуая][тс]т?(ся)?)\b"), "en": re.compile(r"\w+s\b")}


def test_there_are_languages() -> None:
    assert languages() == ("en", "ru")
    with pytest.raises(TwisterError, match=r"no texts for 'fr'.*en, ru"):
        load_collection("fr")
    with pytest.raises(TwisterError, match="no texts for"):
        load_collection("../ru")


@pytest.mark.parametrize("language", ["ru", "en"])
def test_texts_are_many_and_of_every_kind(language: str) -> None:
    entries = load_collection(language).entries
    assert len(entries) >= 600
    assert len({entry.id for entry in entries}) == len(entries)
    for difficulty in (1, 2, 3):
        same = [entry for entry in entries if entry.difficulty == difficulty]
        assert len(same) >= 100
        assert sum("stutter" in entry.purposes for entry in same) >= 16
    assert sum(entry.origin == "folk" for entry in entries) >= 90
    for length in ("short", "middle", "long"):
        assert sum(length_of(entry.letters) == length for entry in entries) >= 50


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_trained_consonant_has_texts(language: str) -> None:
    entries = load_collection(language).entries
    rich = {sound: sum(entry.counts.get(sound, 0) >= 3 for entry in entries) for sound in CONSONANTS[language]}
    assert {sound: count for sound, count in rich.items() if count < FLOOR} == {}


@pytest.mark.parametrize("language", ["ru", "en"])
def test_harder_texts_are_longer_worded(language: str) -> None:
    collection = load_collection(language)

    def word(difficulty: int) -> float:
        words = [w for e in collection.entries if e.difficulty == difficulty for w in e.text.split() if len(w) > 2]
        return sum(map(collection.letters, words)) / len(words)

    assert word(1) + 0.4 < word(2) < word(3) - 0.4


@pytest.mark.parametrize("language", ["ru", "en"])
def test_parts_are_in_agreeing_forms(language: str) -> None:
    parts = load_collection(language).file.parts
    for slot in ("indoors", "outdoors"):
        assert [part for part in parts[slot] if not PRESENT[language].match(part)] == []
    if language == "ru":
        assert [owner for owner in parts["owner"] if owner.split()[-1][-1] not in "аяыи"] == []
    if language == "en":  # whoever does it, man or woman
        assert [part for rows in parts.values() for part in rows if re.search(r"\b(his|hers?|he|she)\b", part)] == []
    for slot, rows in parts.items():
        assert len(rows) >= 40, slot


def test_russian_keeps_yo() -> None:
    file = load_collection("ru").file
    texts = [text for group in file.groups for text in group.texts]
    words = " ".join(texts + [part for parts in file.parts.values() for part in parts]).lower()
    lost = r"(еж|ежик|елк[аиу]|(и|жд|по|ж|пь|шь|вь|лет|плыв|б?ер)ет|еще|черный|желтый|тетя|тетка|мед|лед|лен)"
    assert re.findall(rf"\b{lost}\b", words) == []


@pytest.mark.parametrize(
    ("sound", "text", "count"),
    [
        ("г", "Гуси гоготали, много гусей.", 5),
        ("г", "Друг его, красного, сегодня мягкого ждёт.", 0),
        ("з", "Зоя и мороз, воз и арбуз.", 1),
        ("д", "Лодка и сад, дуб и дом.", 2),
        ("рь", "Рис, рыба и орёл с рюкзаком.", 3),
        ("р", "Рис, рыба и орёл с рюкзаком.", 4),
        ("ё", "ЁЖ и ёлка.", 2),
    ],
)
def test_sounds_of_russian(sound: str, text: str, count: int) -> None:
    assert coverage(text, "ru").get(sound, 0) == count


@pytest.mark.parametrize(
    ("sound", "text", "count"),
    [
        ("s", "She sells shells.", 3),
        ("sh", "She sells shells.", 2),
        ("c", "Nice cats in special cities.", 2),
        ("h", "The ship has a hen.", 2),
        ("w", "Who knows the white snow, we wonder.", 3),
        ("t", "The tall path to town.", 3),
        ("k", "Kate knows a knight.", 1),
    ],
)
def test_sounds_of_english(sound: str, text: str, count: int) -> None:
    assert coverage(text, "en").get(sound, 0) == count


FILE = """
alphabet: абвгдежзиклмнопрстуфхцчшщъыьэюя
vowels: аеиоуыэюя
marks: ",."
sounds: {{{sounds}}}
patterns: ["{pattern}"]
parts: {{person: [{parts}]}}
groups: [{{difficulty: {difficulty}, origin: own, texts: [{texts}]}}]
"""
GOOD = {
    "sounds": "",
    "pattern": "{person} поет.",
    "parts": "мама",
    "difficulty": "1",
    "texts": "Рано утром роса.",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": "Рано утром роса., 'Рано, утром роса.'"}, "'Рано, утром роса.' is 'Рано утром роса.' again"),
        ({"texts": "Ранo утром роса."}, "'o' is neither a letter"),
        ({"texts": "''"}, "is empty"),
        ({"texts": "Рано  утром роса."}, "odd spaces"),
        ({"texts": "Роса."}, "has 4 letters, not 8 to 200"),
        ({"texts": "Рано " * 60 + "утром."}, "has 245 letters"),
        ({"texts": "рано утром роса."}, "capital letter"),
        ({"texts": "Рано утром роса"}, "full stop"),
        ({"parts": "мама, мама"}, "parts.person: 'мама' is 'мама' again"),
        ({"pattern": "{animal} поет."}, "slot 'animal'"),
        ({"pattern": "Поет."}, "no slot"),
        ({"sounds": "р: 'р*'"}, "finds the sound in nothing"),
        ({"sounds": "р: '('"}, "unterminated|missing"),
        ({"difficulty": "4"}, "groups.0.difficulty"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(tmp_path: Path, change: dict[str, str], message: str) -> None:
    path = tmp_path / "xx.yaml"
    path.write_text(FILE.format(**GOOD), encoding="utf-8")
    assert [entry.text for entry in read_collection(path).entries] == ["Рано утром роса."]
    path.write_text(FILE.format(**GOOD | change), encoding="utf-8")
    with pytest.raises(TwisterError, match=message) as error:
        read_collection(path)
    assert str(path) in str(error.value)


def test_the_table_tells_what_there_is() -> None:
    ran = subprocess.run([sys.executable, "-m", "web.twisters"], capture_output=True, text=True, check=True, timeout=60)
    rows = dict(re.findall(r"^ *(\w+) +\d+ +\d+ +\d+ +(\d+)$", ran.stdout, flags=re.MULTILINE))
    assert int(rows["р"]) >= 100
    assert int(rows["th"]) >= 30
