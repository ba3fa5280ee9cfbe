"""Words and the letters in them, as a language's file says; nothing here knows Russian.

A letter is not a phone: the file says which letters sound as themselves.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from speech.text.language import Language, Remark

_NOT_WORD = re.compile(r"[\W_]+")


def split_words(text: str, language: Language) -> list[str]:
    """The words of a text in lower case, without ignored characters; hyphened parts are words of their own.

    Look-alikes of other alphabets become the language's letters in words that have a letter of it and no other sign
    that is foreign; a word wholly of foreign letters stays as it is.
    """
    decomposed = unicodedata.normalize("NFD", text.lower())
    kept = "".join(character for character in decomposed if character not in language.ignored)
    return [_own(part, language) for part in _NOT_WORD.split(unicodedata.normalize("NFC", kept)) if part]


def _own(word: str, language: Language) -> str:
    mapped = "".join(language.same_letters.get(character, character) for character in word)
    native = any(character in language.alphabet for character in word) or len(word) == 1
    return mapped if native and all(character in language.alphabet for character in mapped) else word


def spelling(text: str, language: Language) -> tuple[int, ...]:
    """A text's letters as places in the language's alphabet, from 1; empty where a letter is foreign to it.

    Letters that sound the same are one.
    """
    letters = _plain("".join(split_words(text, language)), language)
    if not all(letter in language.alphabet for letter in letters):
        return ()
    return tuple(1 + language.alphabet.index(letter) for letter in letters)


def is_readable(word: str, language: Language) -> bool:
    """Whether the spelling says what is spoken: no digits, no foreign letters, no abbreviation, and a letter at all."""
    parts = split_words(word, language)
    written = all(character in language.alphabet for part in parts for character in part)
    return bool(parts) and written and not any(matches(language.unreadable, part, language) for part in parts)


def count_letters(word: str, language: Language) -> dict[str, int]:
    """How often each marker letter of the language sounds in a word or text, by its spelling."""
    parts = split_words(word, language)
    return {letter: sum(_count(letter, part, language) for part in parts) for letter in language.letters}


def sounding_letters(word: str, language: Language) -> list[str | None]:
    """For each letter of a word's `spelling` the marker letter that sounds there, None where none does."""
    found: list[str | None] = []
    for part in split_words(word, language):
        places = {place: letter for letter in language.letters for place in _places(letter, part, language)}
        found += [places.get(place) for place in range(len(part))]
    return found


def _count(letter: str, word: str, language: Language) -> int:
    return len(_places(letter, word, language))


def _places(letter: str, word: str, language: Language) -> list[int]:
    """Where in a word, as `split_words` gives it, a marker letter sounds."""
    if letter not in word:
        return []
    plain = _plain(word, language)
    silent: set[int] = set()
    for exclusion in language.letters[letter].exclusions:
        if not any(_compiled(but).fullmatch(plain) for but in exclusion.but):
            for match in _compiled(exclusion.pattern).finditer(plain):
                silent.update(range(*match.span()))
    return [place for place, character in enumerate(word) if character == letter and place not in silent]


def _plain(text: str, language: Language) -> str:
    """As patterns are written; as long as `text`."""
    return "".join(language.same_sounds.get(character, character) for character in text)


def matches(remarks: Sequence[Remark], text: str, language: Language) -> bool:
    """Whether the pattern of one of `remarks` matches the whole of `text`, a word or the words of a clip."""
    plain = _plain(text, language)
    return any(_compiled(remark.pattern).fullmatch(plain) for remark in remarks)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
