"""The texts of a language: read from `<code>.yaml` beside this module, checked, their sounds counted.

A text has only what cannot be computed: its difficulty, where it comes from and what else it is good for.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from string import Formatter
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).resolve().parent
FEWEST_LETTERS, MOST_LETTERS = 8, 200  # under two words nothing is practised; above, nobody reads it in one go

Difficulty = Literal[1, 2, 3]
Length = Literal["short", "middle", "long"]
SHORT, MIDDLE = 28, 55
"""Most letters of a short text and of a middle one: two to three, and five, seconds of reading."""


class TwisterError(ValueError):
    """The texts of a language cannot be used; the message names the file, the text and what is wrong with it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Part):
    """Texts of one difficulty and origin. `for`: what they suit besides their sounds."""

    difficulty: Difficulty
    origin: Literal["folk", "own"]
    purposes: list[Literal["stutter"]] = Field(default_factory=list, alias="for")
    texts: list[str] = Field(min_length=1)


class TextFile(_Part):
    """What `<code>.yaml` holds."""

    alphabet: str = Field(min_length=1)
    vowels: str = Field(min_length=1)
    marks: str
    """What may stand in a text besides letters."""
    sounds: dict[str, str] = Field(default_factory=dict)
    """Sound to the regular expression that finds it in lower case; a letter that is not here is itself."""
    patterns: list[str]
    """Sentences with {slots}; the same slot twice takes two parts."""
    parts: dict[str, list[str]]
    """Slot to what may stand in it; whatever is put together must be a correct sentence."""
    groups: list[Group]


@dataclass(frozen=True)
class Entry:
    """A text as it is written. `letters`: how many it has."""

    text: str
    id: str
    letters: int
    difficulty: Difficulty
    origin: str
    purposes: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Collection:
    """A language's checked texts."""

    language: str
    file: TextFile

    @cached_property
    def patterns(self) -> dict[str, re.Pattern[str]]:
        """Every sound that is counted: the alphabet's letters and the file's own sounds."""
        own = {letter: re.escape(letter) for letter in self.file.alphabet} | self.file.sounds
        return {sound: re.compile(pattern) for sound, pattern in own.items()}

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """In the order of the file."""
        return tuple(
            self.entry(text, group.difficulty, group.origin, tuple(group.purposes))
            for group in self.file.groups
            for text in group.texts
        )

    def coverage(self, text: str) -> dict[str, int]:
        """How often each letter and sound of the language is said in `text`, only those that are."""
        plain = unicodedata.normalize("NFC", text).lower()
        counts = {sound: len(pattern.findall(plain)) for sound, pattern in self.patterns.items()}
        return {sound: count for sound, count in counts.items() if count}

    def letters(self, text: str) -> int:
        """How many letters of the alphabet `text` has."""
        return len(self.plain(text))

    def plain(self, text: str) -> str:
        """The letters of `text` alone, in lower case: what two texts share that differ in punctuation."""
        lower = unicodedata.normalize("NFC", text).lower()
        return "".join(character for character in lower if character in self.file.alphabet)

    def identity(self, text: str) -> str:
        """The same as long as the letters are, wherever the text stands in the file."""
        return f"{self.language}-{hashlib.sha256(self.plain(text).encode()).hexdigest()[:12]}"

    def hardness(self, text: str) -> Difficulty:
        """Of a part, by its longest word and its longest run of consonants."""
        words = [self.plain(word) for word in re.split(r"[\s-]+", text)]
        longest = max(map(len, words))
        consonants = set(self.file.alphabet) - set(self.file.vowels) - set("ъь")
        run = max(len(run) for word in words for run in re.split(f"[^{''.join(sorted(consonants))}]+", word))
        if longest > 10 or run > 3:
            return 3
        return 1 if longest <= 7 and run <= 2 else 2

    def entry(self, text: str, difficulty: Difficulty, origin: str, purposes: tuple[str, ...]) -> Entry:
        """`text` with what is computed of it."""
        letters, counts = self.letters(text), self.coverage(text)
        return Entry(text, self.identity(text), letters, difficulty, origin, purposes, counts)


def length_of(letters: int) -> Length:
    """The class of a text with so many letters."""
    return "short" if letters <= SHORT else "middle" if letters <= MIDDLE else "long"


def languages() -> tuple[str, ...]:
    """Codes of the languages there are texts for."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def coverage(text: str, language: str) -> dict[str, int]:
    """How often each letter and sound of `language` is said in `text`, only those that are. Raises `TwisterError`."""
    return load_collection(language).coverage(text)


@cache
def load_collection(language: str) -> Collection:
    """The texts of a language's code. Raises `TwisterError` where there are none or one of them is wrong."""
    if language not in languages():
        raise TwisterError(f"there are no texts for {language!r}; there are some for {', '.join(languages())}")
    return read_collection(FOLDER / f"{language}.yaml")


def read_collection(path: Path) -> Collection:
    """The texts of a file, checked; its name is the language's code. Raises `TwisterError`."""
    try:
        file = TextFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TwisterError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise TwisterError(f"{path}, {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error
    collection = Collection(path.stem, file)
    try:
        _check(collection)
    except (ValueError, re.error) as error:
        raise TwisterError(f"{path}, {error}") from error
    return collection


def _check(collection: Collection) -> None:
    file = collection.file
    for sound, expression in collection.patterns.items():
        if expression.search(""):
            raise ValueError(
                f"sounds.{sound}: {expression.pattern!r} finds the sound in nothing; let it match a letter"
            )
    for pattern in file.patterns:
        slots = {slot for _, slot, _, _ in Formatter().parse(pattern) if slot}
        if not slots:
            raise ValueError(f"patterns: {pattern!r} has no slot; write it into groups")
        if unknown := sorted(slots - set(file.parts)):
            raise ValueError(f"patterns: {pattern!r} has the slot {unknown[0]!r}, for which parts has nothing")
        _check_characters(collection, pattern.format_map(dict.fromkeys(file.parts, "")))
    for slot, parts in file.parts.items():
        _check_apart(collection, f"parts.{slot}", parts)
    texts = [text for group in file.groups for text in group.texts]
    _check_apart(collection, "groups", texts)
    for text in texts:
        if not FEWEST_LETTERS <= collection.letters(text) <= MOST_LETTERS:
            raise ValueError(
                f"{text!r}: has {collection.letters(text)} letters, not {FEWEST_LETTERS} to {MOST_LETTERS}"
            )
        if not text[0].isupper() or text[-1] not in ".!?":
            raise ValueError(f"{text!r}: begin it with a capital letter and end it with a full stop, ! or ?")


def _check_apart(collection: Collection, field: str, texts: list[str]) -> None:
    """Each has letters, no foreign sign, and none is another one but for signs."""
    first: dict[str, str] = {}
    for text in texts:
        _check_characters(collection, text)
        plain = collection.plain(text)
        if not plain or text != " ".join(text.split()):
            raise ValueError(f"{field}: {text!r} is empty or has odd spaces")
        if plain in first:
            raise ValueError(f"{field}: {text!r} is {first[plain]!r} again; take one out")
        first[plain] = text


def _check_characters(collection: Collection, text: str) -> None:
    known = set(collection.file.alphabet) | set(collection.file.marks) | {" "}
    if foreign := sorted(set(unicodedata.normalize("NFC", text).lower()) - known):
        raise ValueError(f"{text!r}: {foreign[0]!r} is neither a letter of the alphabet nor one of the marks")
