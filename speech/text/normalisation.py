"""Texts as they are compared when a recogniser's errors are counted: what differs in writing alone is the same."""

from __future__ import annotations

import re
import unicodedata

from speech.text.language import Language

_SPELT = ("L", "M", "N")  # letters of any script, the marks that belong to them, and digits


def normalise(text: str, language: Language) -> str:
    """Words in lower case with single spaces between them: no punctuation, no marks of a recogniser, letters that the
    language writes either way in one of them. Letters of any script and digits stay."""
    text = unicodedata.normalize("NFC", text).lower()
    for marker in language.transcripts.markers:
        text = re.sub(marker.pattern, " ", text)
    decomposed = unicodedata.normalize("NFD", text)
    text = unicodedata.normalize("NFC", "".join(sign for sign in decomposed if sign not in language.ignored))
    same = language.transcripts.same_letters
    spelt = (same.get(sign, sign) if _spelt(sign, language) else " " for sign in text)
    return " ".join("".join(spelt).split())


def _spelt(sign: str, language: Language) -> bool:
    return unicodedata.category(sign)[0] in _SPELT or sign in language.alphabet
