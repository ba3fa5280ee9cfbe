"""Texts held against what was said: word and character errors of each utterance, and rates over a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np


@dataclass(frozen=True)
class Part:
    """Neighbouring words on which an alignment does one thing: equal, substitute, insert or delete."""

    kind: str
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """An utterance's words aligned with those that were heard, and its character errors."""

    parts: tuple[Part, ...]
    characters: int  # of the reference, spaces among them
    character_errors: int

    @property
    def words(self) -> int:
        """Words of the reference."""
        return sum(len(part.reference) for part in self.parts)

    @property
    def errors(self) -> int:
        """Words put in place of others, left out or added."""
        return sum(self.count(kind) for kind in ("substitute", "delete", "insert"))

    @property
    def wer(self) -> float:
        """Errors a word; of an empty reference 1 where anything was heard, else 0."""
        return self.errors / self.words if self.words else float(self.errors > 0)

    def count(self, kind: str) -> int:
        """Words of this `Part.kind`."""
        return sum(max(len(part.reference), len(part.hypothesis)) for part in self.parts if part.kind == kind)


def score(references: Sequence[str], hypotheses: Sequence[str]) -> list[Scored]:
    """Align texts word by word, by jiwer's least number of errors; words are what white space parts."""
    if not references:
        return []
    by_word = jiwer.process_words(list(references), list(hypotheses))
    by_character = jiwer.process_characters(list(references), list(hypotheses))
    rows = zip(
        by_word.references,
        by_word.hypotheses,
        by_word.alignments,
        by_character.references,
        by_character.alignments,
        strict=True,
    )
    return [
        Scored(
            tuple(_part(chunk, reference, hypothesis) for chunk in chunks),
            len(characters),
            sum(_longest(chunk) for chunk in character_chunks if chunk.type != "equal"),
        )
        for reference, hypothesis, chunks, characters, character_chunks in rows
    ]


def _part(chunk: Any, reference: Sequence[str], hypothesis: Sequence[str]) -> Part:
    return Part(
        chunk.type,
        tuple(reference[chunk.ref_start_idx : chunk.ref_end_idx]),
        tuple(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]),
    )


def _longest(chunk: Any) -> int:
    return int(max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx))


def error_rate(counts: np.ndarray) -> float:
    """Errors over length, of rows (errors, length), summed before they are divided; 0 where there is no length."""
    errors, length = counts.sum(0)
    return float(errors / length) if length else 0.0


def word_counts(scored: Sequence[Scored]) -> np.ndarray:
    """(utterances, 2): word errors and words."""
    return np.array([(one.errors, one.words) for one in scored], dtype=np.int64).reshape(-1, 2)


def character_counts(scored: Sequence[Scored]) -> np.ndarray:
    """(utterances, 2): character errors and characters."""
    return np.array([(one.character_errors, one.characters) for one in scored], dtype=np.int64).reshape(-1, 2)


def error_kinds(scored: Sequence[Scored]) -> dict[str, int]:
    """How many words were put in place of others, added and left out."""
    kinds = {"substitutions": "substitute", "insertions": "insert", "deletions": "delete"}
    return {name: sum(one.count(kind) for one in scored) for name, kind in kinds.items()}


def confusions(scored: Sequence[Scored], most: int) -> list[dict[str, Any]]:
    """The most frequent errors: `reference` heard as `hypothesis`, one of them empty where a word was added or left
    out, and how often (`count`)."""
    counted = Counter(pair for one in scored for part in one.parts for pair in _pairs(part))
    rows = sorted(counted.items(), key=lambda row: (-row[1], row[0]))
    return [{"reference": pair[0], "hypothesis": pair[1], "count": count} for pair, count in rows[:most]]


def _pairs(part: Part) -> Iterator[tuple[str, str]]:
    if part.kind == "substitute":
        yield from zip(part.reference, part.hypothesis, strict=True)
    elif part.kind == "delete":
        yield from ((word, "") for word in part.reference)
    elif part.kind == "insert":
        yield from (("", word) for word in part.hypothesis)
