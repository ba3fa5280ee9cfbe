"""Marker letters counted in words and clips, only where the transcript can be trusted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from speech.language import Language
from speech.transcribe import Transcript

_STRESS = {"\u0300", "\u0301"}  # grave and acute: stress marks in dictionaries and tongue twisters


@dataclass(frozen=True)
class ConfidenceGate:
    """What a word must show before its letters are counted."""

    min_word_probability: float = 0.5
    """Whisper's probability of the word, 0 to 1."""
    max_no_speech: float = 0.6
    """Whisper's probability that the clip holds no speech, 0 to 1; its own threshold."""
    max_compression: float = 2.4
    """Compression ratio of the text; above it Whisper itself takes the text for a loop."""


@dataclass(frozen=True)
class MarkedWord:
    """A word, its place in seconds, its marker letters, and whether it may be learned from."""

    start: float
    end: float
    text: str
    counts: dict[str, int]
    confident: bool


@dataclass(frozen=True)
class ClipMarkers:
    """Marker letters of a clip: by word, where times are known, and of the whole, None unless every word is sure."""

    words: tuple[MarkedWord, ...]
    counts: dict[str, int] | None

    def as_dict(self) -> dict[str, Any]:
        return {"words": [asdict(word) for word in self.words], "counts": self.counts}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> ClipMarkers:
        return ClipMarkers(tuple(MarkedWord(**word) for word in value["words"]), value["counts"])


def normalise(word: str, language: Language) -> str:
    """A word in lower case without stress marks, with look-alikes of other alphabets as the language's own letters."""
    decomposed = unicodedata.normalize("NFD", word.lower())
    kept = unicodedata.normalize("NFC", "".join(c for c in decomposed if c not in _STRESS))
    own = set(language.alphabet)
    if any(character in own for character in kept):  # a word wholly of foreign letters is a foreign word
        kept = "".join(language.same_letters.get(character, character) for character in kept)
    return kept


def count_letters(word: str, language: Language) -> dict[str, int]:
    """How often each marker letter of the language sounds in a word; hyphened parts are words of their own."""
    counts = dict.fromkeys(language.letters, 0)
    for part in re.split(r"[^\w]+", normalise(word, language)):
        for letter, rule in language.letters.items():
            if letter not in part:
                continue
            silent: set[int] = set()
            for exclusion in rule.exclusions:
                if any(_compiled(but).fullmatch(part) for but in exclusion.but):
                    continue
                for match in _compiled(exclusion.pattern).finditer(part):
                    silent.update(range(*match.span()))
            counts[letter] += sum(c == letter and i not in silent for i, c in enumerate(part))
    return counts


def count_markers(transcript: Transcript, seconds: float, language: Language, gate: ConfidenceGate) -> ClipMarkers:
    """Marker letters of a clip that lasts `seconds`, from Whisper's words."""
    heard = _within(transcript.no_speech_probability, gate.max_no_speech) and _within(
        transcript.compression_ratio, gate.max_compression
    )
    words = tuple(
        MarkedWord(
            start=word.start,
            end=word.end,
            text=word.text,
            counts=count_letters(word.text, language),
            confident=heard and word.probability >= gate.min_word_probability and 0 <= word.start < word.end <= seconds,
        )
        for word in transcript.words
    )
    sure = bool(words) and all(word.confident for word in words)
    return ClipMarkers(words, _total(words, language) if sure else None)


def from_text(text: str, language: Language) -> ClipMarkers:
    """Marker letters of a clip whose text is known; its words have no times."""
    words = tuple(MarkedWord(0.0, 0.0, word, count_letters(word, language), confident=False) for word in text.split())
    return ClipMarkers((), _total(words, language) if words else None)


def coverage(clips: Sequence[ClipMarkers], letters: Sequence[str]) -> list[dict[str, Any]]:
    """A row per letter: words that hold it, the share of words that are sure, clips whose count is known, mean count."""
    words = [word for clip in clips for word in clip.words]
    known = [clip.counts for clip in clips if clip.counts is not None]
    sure = sum(word.confident for word in words)
    return [
        {
            "letter": letter,
            "words": len(words),
            "sure words": sure,
            "sure share": round(sure / len(words), 3) if words else 0.0,
            "sure words with it": sum(word.confident and word.counts[letter] > 0 for word in words),
            "clips": len(clips),
            "clips with known count": len(known),
            "mean a clip": round(sum(counts[letter] for counts in known) / len(known), 2) if known else 0.0,
        }
        for letter in letters
    ]


def _within(value: float | None, most: float) -> bool:
    return value is None or value <= most


def _total(words: Sequence[MarkedWord], language: Language) -> dict[str, int]:
    return {letter: sum(word.counts[letter] for word in words) for letter in language.letters}


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
