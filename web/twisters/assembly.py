"""Sentences put together from a language's patterns and parts, rich in wanted sounds."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from string import Formatter

from web.twisters.collection import Collection, Difficulty, Entry

RICHEST = 6
"""From how many of the parts that are richest in a sound one is drawn."""


def assemble(collection: Collection, wanted: Sequence[str], difficulty: Difficulty, rng: random.Random) -> Entry:
    """A sentence of a random pattern. Each slot takes a part that is rich in the sound rarest so far and no harder than
    `difficulty`, one of them exactly as hard where there is one; the sentence is as hard as its hardest part."""
    pieces = list(Formatter().parse(rng.choice(collection.file.patterns)))
    hardest = rng.randrange(sum(slot is not None for _, slot, _, _ in pieces))
    counts: Counter[str] = Counter()
    used: list[str] = []
    text = ""
    for literal, slot, _, _ in pieces:
        text += literal
        if slot is not None:
            sound = min(wanted, key=lambda sound: counts[sound], default="")
            exact = len(used) == hardest
            part = _part(_ranked(collection, slot, sound, difficulty, exact), used, rng)
            used.append(part)
            counts.update(collection.coverage(part))
            text += part
    hardness = max(collection.hardness(part) for part in used)
    return collection.entry(text[0].upper() + text[1:], hardness, "assembled", ())


def _part(ranked: tuple[tuple[str, ...], tuple[str, ...]], used: Sequence[str], rng: random.Random) -> str:
    """One of the richest parts, or of all that may stand there; nobody and nothing comes twice in a sentence."""
    taken = {stem for part in used for stem in _stems(part)}
    rich, allowed = ([part for part in parts if not _stems(part) & taken] for parts in ranked)
    return rng.choice(rich[:RICHEST] or allowed or [part for part in ranked[1] if part not in used])


@lru_cache(maxsize=4096)
def _stems(part: str) -> frozenset[str]:
    """Beginnings of names and of words from four letters, by which forms of a word know each other."""
    words = (word for word in re.split(r"\W+", part) if len(word) > 3 or word.istitle())
    return frozenset(word.lower()[: max(3, min(4, len(word) - 2))] for word in words)


@lru_cache(maxsize=4096)
def _ranked(
    collection: Collection, slot: str, sound: str, difficulty: Difficulty, exact: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A slot's parts with the sound, the densest first, then all that may stand there."""
    parts = collection.file.parts[slot]
    allowed = [part for part in parts if collection.hardness(part) <= difficulty]
    share = {part: collection.coverage(part).get(sound, 0) / collection.letters(part) for part in allowed}
    rich = sorted((part for part in allowed if share[part]), key=lambda part: -share[part])
    hard = [part for part in rich if collection.hardness(part) == difficulty]
    return tuple(hard if exact and hard else rich), tuple(allowed)
