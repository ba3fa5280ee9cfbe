"""Languages as data: classes, their names and marker letters, how letters are counted, and the names that tables use.

A language is a file `configs/languages/<code>.yaml`; a new class or language needs a change there and nowhere else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "languages"
_COLUMNS = ("file", "label", "speaker", "text", "split", "group")
_NEEDED_COLUMNS = ("file", "label")
_SPLITS = ("train", "validation", "test")


class LanguageError(ValueError):
    """A language cannot be loaded; the message names the file and the field."""


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


def _single_character(text: str) -> str:
    if len(text) != 1:
        raise ValueError("must be one character")
    return text


def _small_letter(text: str) -> str:
    if len(text) != 1 or not text.isalpha() or text != text.lower() or text != unicodedata.normalize("NFC", text):
        raise ValueError("must be one lower-case letter, composed")
    return text


Pattern = Annotated[str, AfterValidator(_compiles)]
Character = Annotated[str, AfterValidator(_single_character)]
Letter = Annotated[str, AfterValidator(_small_letter)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DefectClass(_Part):
    """One class: its names for people by interface language, its names in tables, its marker letters, and how
    training may imitate it on fluent speech: `disfluency` cuts repeated and held sounds and blocks into a recording."""

    names: dict[str, str] = Field(min_length=1)
    aliases: list[str] = Field(default_factory=list)
    markers: list[Letter] = Field(default_factory=list)
    imitation: Literal["disfluency"] | None = None


class Exclusion(_Part):
    """Where a letter does not sound as itself.

    `pattern` is searched in the normalised word; each character of a match that is the letter is not counted. Words
    that one of `but` matches whole keep their letters. Both are regular expressions.
    """

    pattern: Pattern
    why: str
    but: list[Pattern] = Field(default_factory=list)


class LetterRule(_Part):
    """How a marker letter is counted."""

    exclusions: list[Exclusion] = Field(default_factory=list)


class Remark(_Part):
    """A regular expression that matches a whole word or text, and why it is there."""

    pattern: Pattern
    why: str


class TranscriptRules(_Part):
    """How transcripts are compared, see `speech.text.normalisation`."""

    markers: list[Remark] = Field(default_factory=list)
    """What recognisers and dictated texts write that is no word; the pattern is searched in the lower-case text."""
    same_letters: dict[Letter, Letter] = Field(default_factory=dict)
    """Letters that are written either way."""


class Language(_Part):
    """One language's data. The first class is the one without a defect."""

    code: str
    names: dict[str, str] = Field(min_length=1)
    alphabet: str = Field(min_length=1)
    """The letters words are written with, lower case."""
    ignored: list[Character] = Field(default_factory=list)
    """Characters that are taken out of words: stress marks, soft hyphens."""
    same_letters: dict[Character, Letter] = Field(default_factory=dict)
    """Look-alikes of other alphabets to the letters they stand for."""
    same_sounds: dict[Letter, Letter] = Field(default_factory=dict)
    """Letters that patterns need not tell apart, to the one they are written with in patterns."""
    unreadable: list[Remark] = Field(default_factory=list)
    """Words whose spelling does not say which letters sound: abbreviations."""
    unspoken: list[Remark] = Field(default_factory=list)
    """Texts that Whisper writes where nobody has said them."""
    transcripts: TranscriptRules = TranscriptRules()
    classes: dict[str, DefectClass] = Field(min_length=1)
    letters: dict[Letter, LetterRule] = Field(default_factory=dict)
    columns: dict[str, list[str]]
    splits: dict[str, list[str]]

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, list[str]]) -> dict[str, list[str]]:
        _only(columns, _COLUMNS)
        _all(columns, _NEEDED_COLUMNS)
        return columns

    @field_validator("splits")
    @classmethod
    def _known_splits(cls, splits: dict[str, list[str]]) -> dict[str, list[str]]:
        _only(splits, _SPLITS)
        _all(splits, _SPLITS)
        return splits

    @model_validator(mode="after")
    def _whole(self) -> Language:
        for name, part in self.classes.items():
            for letter in part.markers:
                if letter not in self.letters:
                    raise ValueError(f"classes.{name}.markers: {letter!r} has no entry in letters")
        for letter in self.letters:
            if letter not in self.alphabet:
                raise ValueError(f"letters: {letter!r} is not in the alphabet")
        said = {name: [name, *part.names.values(), *part.aliases] for name, part in self.classes.items()}
        for field, aliases in (("classes", said), ("columns", self.columns), ("splits", self.splits)):
            _apart(field, aliases)
        return self

    def counting(self) -> dict[str, Any]:
        """Everything that the counting of letters depends on, JSON-able: equal values give equal counts."""
        return self.model_dump(exclude={"names", "classes", "columns", "splits", "transcripts"})


def _only(given: Iterable[str], known: tuple[str, ...]) -> None:
    if odd := sorted(set(given) - set(known)):
        raise ValueError(f"{', '.join(odd)} is unknown; known are {', '.join(known)}")


def _all(given: Iterable[str], needed: tuple[str, ...]) -> None:
    if missing := sorted(set(needed) - set(given)):
        raise ValueError(f"{', '.join(missing)} is missing")


def _apart(field: str, aliases: dict[str, list[str]]) -> None:
    """No alias may stand for two things; compared as tables are read, without regard to case, space and ё."""
    owner: dict[str, str] = {}
    for name, given in aliases.items():
        for alias in given:
            key = " ".join(unicodedata.normalize("NFC", alias).split()).casefold().replace("ё", "е")
            if owner.setdefault(key, name) != name:
                raise ValueError(f"{field}: {alias!r} stands for both {owner[key]} and {name}")


def load_language(code_or_path: str | Path) -> Language:
    """The language of a code (a file in `configs/languages`) or of a path to a YAML file. Raises `LanguageError`."""
    path = Path(code_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{code_or_path}.yaml"
        if path.parent != FOLDER or not path.is_file():
            known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
            raise LanguageError(f"there is no language {str(code_or_path)!r}; there are: {known}, or give a .yaml file")
    try:
        return Language.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LanguageError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        hint = "; put it into quotes" if first["type"] == "string_type" else ""  # YAML reads no, 0 and 1 otherwise
        raise LanguageError(f"{path}, {field}: {str(first['msg']).removeprefix('Value error, ')}{hint}") from error
