"""Marker letters counted in the words of clips, only where the transcript can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from speech.text.language import Language
from speech.text.letters import count_letters, is_readable, matches, split_words
from speech.whisper.transcript import WhisperTranscript, Word


@dataclass(frozen=True)
class ConfidenceLimits:
    """What a transcript must keep to for its letters to be counted: the first each word, the others the clip."""

    min_word_probability: float = 0.5
    """Least mean probability of a word's tokens, 0 to 1."""
    max_no_speech: float = 0.6
    """Greatest probability that the clip holds no speech, 0 to 1; Whisper's own threshold."""
    max_compression: float = 2.4
    """Greatest compression ratio of the text; above it Whisper itself takes the text for a loop."""
    max_letters_per_second: float = 30.0
    """Most letters a second of the clip; reading aloud has about 14, tongue twisters 20."""


@dataclass(frozen=True)
class MarkedWord:
    """A word, its start and end in seconds, its marker letters, and whether it may be learned from."""

    start: float
    end: float
    text: str
    counts: dict[str, int]
    confident: bool


@dataclass(frozen=True)
class ClipMarkers:
    """Marker letters of a clip: by word, where times are known, and of the whole, None unless every word is sure.

    `doubt` names why the clip as a whole is not trusted: `nothing_heard`, `no_speech`, `repetition`, `unspoken`,
    `too_fast`, or `unreadable`, a given text with words whose letters the spelling does not tell; None where it is.
    `text` is the clip's, where `counts` are known.
    """

    words: tuple[MarkedWord, ...]
    counts: dict[str, int] | None
    doubt: str | None = None
    text: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return asdict(self) | {"words": [asdict(word) for word in self.words]}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> ClipMarkers:
        """Raises `KeyError` or `TypeError` where `value` is not what `as_dict` gives."""
        return ClipMarkers(
            tuple(MarkedWord(**word) for word in value["words"]), value["counts"], value["doubt"], value["text"]
        )


def count_markers(
    transcript: WhisperTranscript, seconds: float, language: Language, limits: ConfidenceLimits
) -> ClipMarkers:
    """Marker letters of a clip that lasts `seconds`, from Whisper's words."""
    doubt = _doubt(transcript, seconds, language, limits)
    words = tuple(
        MarkedWord(
            start=word.start,
            end=word.end,
            text=word.text,
            counts=count_letters(word.text, language),
            confident=doubt is None and _trusted(word, seconds, language, limits),
        )
        for word in transcript.words
    )
    sure = bool(words) and all(word.confident for word in words)
    if not sure:
        return ClipMarkers(words, None, doubt)
    return ClipMarkers(words, _total(words, language), doubt, " ".join(word.text.strip() for word in words))


def _doubt(transcript: WhisperTranscript, seconds: float, language: Language, limits: ConfidenceLimits) -> str | None:
    measures = (transcript.no_speech_probability, transcript.compression_ratio)
    if not transcript.words or any(measure is None for measure in measures):
        return "nothing_heard"
    no_speech, compression = measures
    spoken = split_words(transcript.text, language)
    if no_speech is not None and no_speech > limits.max_no_speech:
        return "no_speech"
    if compression is not None and compression > limits.max_compression:
        return "repetition"
    if matches(language.unspoken, " ".join(spoken), language):
        return "unspoken"
    if sum(map(len, spoken)) > limits.max_letters_per_second * seconds:
        return "too_fast"
    return None


def _trusted(word: Word, seconds: float, language: Language, limits: ConfidenceLimits) -> bool:
    placed = 0 <= word.start < word.end <= seconds
    return placed and word.probability >= limits.min_word_probability and is_readable(word.text, language)


def from_text(text: str, language: Language) -> ClipMarkers:
    """Marker letters of a clip whose text is known: counts of the clip, no words, for they have no times."""
    words = split_words(text, language)
    if not words:
        return ClipMarkers((), None, "nothing_heard")
    if not all(is_readable(word, language) for word in words):
        return ClipMarkers((), None, "unreadable")
    return ClipMarkers((), count_letters(text, language), text=text)


def coverage(clips: Sequence[ClipMarkers], letters: Sequence[str]) -> list[dict[str, Any]]:
    """A row per letter: how much there is to learn it from.

    Words heard with it, how many and what share of them are sure, clips, clips whose count is known, how many of these
    hold it, the letters in them, and their mean over the clips known. Shares and means of nothing are None.
    """
    known = [clip.counts for clip in clips if clip.counts is not None]
    rows = []
    for letter in letters:
        words = [word for clip in clips for word in clip.words if word.counts[letter]]
        sure = sum(word.confident for word in words)
        total = sum(counts[letter] for counts in known)
        rows.append(
            {
                "letter": letter,
                "words with it": len(words),
                "sure words": sure,
                "sure share": round(sure / len(words), 3) if words else None,
                "clips": len(clips),
                "clips with known count": len(known),
                "known clips with it": sum(counts[letter] > 0 for counts in known),
                "letters in known clips": total,
                "mean a known clip": round(total / len(known), 3) if known else None,
            }
        )
    return rows


def doubts(clips: Sequence[ClipMarkers]) -> dict[str, int]:
    """How many clips are not trusted as a whole, by reason, the commonest first."""
    return dict(Counter(clip.doubt for clip in clips if clip.doubt is not None).most_common())


def _total(words: Sequence[MarkedWord], language: Language) -> dict[str, int]:
    return {letter: sum(word.counts[letter] for word in words) for letter in language.letters}
