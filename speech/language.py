"""Languages as data: classes, their names and marker letters, and the names that tables use.

A language is a file `configs/languages/<code>.yaml`; a new class or language needs a change there and nowhere else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

FOLDER = Path(__file__).resolve().parent.parent / "configs" / "languages"
_COLUMNS = ("file", "label", "speaker", "text", "split", "group")
_SPLITS = ("train", "validation", "test")


class LanguageError(ValueError):
    """A language cannot be loaded; the message names the file and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DefectClass(_Part):
    """One class: its names for people by interface language, its names in tables, and its marker letters."""

    names: dict[str, str] = Field(min_length=1)
    aliases: list[str] = Field(default_factory=list)
    markers: list[str] = Field(default_factory=list)

    @field_validator("markers")
    @classmethod
    def _single(cls, letters: list[str]) -> list[str]:
        if any(len(letter) != 1 or not letter.isalpha() or letter != letter.lower() for letter in letters):
            raise ValueError("each marker is one lower-case letter")
        return letters


class Exclusion(_Part):
    """Where a letter does not sound as itself.

    `pattern` is a regular expression on the normalised word; each character of a match that is the letter is not
    counted. Words that `but` lists (or, as regular expressions, matches whole) keep their letters.
    """

    pattern: str
    why: str
    but: list[str] = Field(default_factory=list)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return pattern

    @field_validator("but")
    @classmethod
    def _compile_all(cls, patterns: list[str]) -> list[str]:
        return [cls._compiles(pattern) for pattern in patterns]


class LetterRule(_Part):
    """How a marker letter is counted."""

    exclusions: list[Exclusion] = Field(default_factory=list)


class Language(_Part):
    """One language's data."""

    code: str
    names: dict[str, str]
    alphabet: str
    same_letters: dict[str, str] = Field(default_factory=dict)
    classes: dict[str, DefectClass]
    letters: dict[str, LetterRule] = Field(default_factory=dict)
    columns: dict[str, list[str]]
    splits: dict[str, list[str]]

    @model_validator(mode="after")
    def _whole(self) -> Language:
        for name, part in self.classes.items():
            for letter in part.markers:
                if letter not in self.letters:
                    raise ValueError(f"classes.{name}.markers: {letter!r} has no entry in letters")
        for given, field, known in ((self.columns, "columns", _COLUMNS), (self.splits, "splits", _SPLITS)):
            if set(given) - set(known):
                odd = ", ".join(sorted(set(given) - set(known)))
                raise ValueError(f"{field}: {odd} is unknown; known are {', '.join(known)}")
        return self


def load_language(code_or_path: str | Path) -> Language:
    """The language of a code (a file in `configs/languages`) or of a path to a YAML file. Raises `LanguageError`."""
    path = Path(code_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{code_or_path}.yaml"
        if path.parent != FOLDER or not path.is_file():
            known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
            raise LanguageError(f"there is no language {str(code_or_path)!r}; there are: {known}, or give a .yaml file")
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Language.model_validate(value)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LanguageError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise LanguageError(f"{path}, {field}: {str(first['msg']).removeprefix('Value error, ')}") from error
