"""Names of columns, classes and splits as tables write them, and what they mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from pipeline.clips.errors import VocabularyError
from tabular.letters import visible

_WHOLE_FLOAT = re.compile(r"(\d+)[.,]0+")  # spreadsheets turn the label 2 into 2.0 (Russian ones: 2,0) beside gaps
_SPACE = re.compile(r"\s+")
_SHOWN_LABELS = 12


def normal(name: str) -> str:
    """A name as it is compared: composed, without case and invisible letters, outer and repeated space; ё is е."""
    composed = unicodedata.normalize("NFC", visible(name))
    return _SPACE.sub(" ", composed).strip().casefold().replace("ё", "е")


def aliases(meanings: Mapping[str, Sequence[str]], kind: str) -> dict[str, str]:
    """Normalised name to what it means. Raises `VocabularyError` where one name means two things."""
    found: dict[str, str] = {}
    for meaning, names in meanings.items():
        for name in (meaning, *names):
            other = found.setdefault(normal(str(name)), meaning)
            if other != meaning:
                raise VocabularyError(f"the name {name!r} stands for two {kind} names, {other} and {meaning}; keep one")
    return found


def meaning(value: str, names: Mapping[str, str]) -> str | None:
    """What a cell means, None where it is no known name."""
    name = normal(value)
    number = _WHOLE_FLOAT.fullmatch(name)
    return names.get(name) or (names.get(number[1]) if number else None)


def shown(names: Mapping[str, str]) -> str:
    """Allowed values for a message: each meaning with its other names."""
    by_meaning: dict[str, list[str]] = {}
    for name, said in names.items():
        if name != said:
            by_meaning.setdefault(said, []).append(name)
    meanings: Iterable[str] = dict.fromkeys(names.values())
    return "; ".join(
        f"{said} ({', '.join(by_meaning[said][:_SHOWN_LABELS])})" if said in by_meaning else said for said in meanings
    )
