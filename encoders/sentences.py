"""What is read to the encoder while it is pretrained: words of dictionaries, drawn at random, no sentence twice."""

from __future__ import annotations

import random
import re
from pathlib import Path

DICTIONARIES = Path("/usr/share/hunspell")
# Hunspell's dictionary and espeak-ng's voice for a language, and the share of sentences in it. Beside Russian stand
# languages in which sounds near р and г belong to ordinary words: uvular in French and Kazakh, fricative in Spanish,
# Greek and Ukrainian. An encoder that is to tell sounds apart must have heard them; none is put in another's place.
LANGUAGES = {
    "ru": ("ru_RU", 0.46),
    "uk": ("uk_UA", 0.10),
    "kk": ("kk_KZ", 0.12),
    "fr": ("fr", 0.12),
    "es": ("es_ES", 0.10),
    "el": ("el_GR", 0.10),
}
_WORD = re.compile(r"^[^\W\d_]{2,14}$")


class DictionaryMissing(RuntimeError):
    """A dictionary is not installed; the message names the package."""


def words(language: str) -> list[str]:
    """All plain words of a language's dictionary, lower case ones only: no names, no abbreviations."""
    stem = DICTIONARIES / LANGUAGES[language][0]
    try:
        declared = re.search(rb"^\W*SET\s+(\S+)", stem.with_suffix(".aff").read_bytes(), re.MULTILINE)
        data = stem.with_suffix(".dic").read_bytes()
    except FileNotFoundError as error:
        raise DictionaryMissing(
            f"{error.filename} is missing; on Debian and Ubuntu: apt-get install hunspell-{language}"
        ) from error
    encoding = declared.group(1).decode() if declared else "utf-8"
    found = {line.split("/")[0].split("\t")[0].strip() for line in data.decode(encoding, "replace").splitlines()}
    return sorted(word for word in found if _WORD.match(word) and word.islower())


def sentences(count: int, rng: random.Random) -> list[tuple[str, str]]:
    """`count` pairs of language and sentence of three to eight words, with a comma here and there."""
    known = {language: words(language) for language in LANGUAGES}
    shares = [share for _, share in LANGUAGES.values()]
    chosen = rng.choices(list(LANGUAGES), weights=shares, k=count)
    return [(language, _sentence(known[language], rng)) for language in chosen]


def readings(language: str, count: int, rng: random.Random) -> list[str]:
    """`count` sentences of one language."""
    known = words(language)
    return [_sentence(known, rng) for _ in range(count)]


def _sentence(vocabulary: list[str], rng: random.Random) -> str:
    drawn = rng.choices(vocabulary, k=rng.randint(3, 8))
    return "".join(word + (", " if rng.random() < 0.12 else " ") for word in drawn).strip(" ,")
