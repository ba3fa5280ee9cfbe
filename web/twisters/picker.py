"""The choice of the next text: for given sounds, difficulty and length, none of those that were had of late."""

from __future__ import annotations

import random
from collections.abc import Collection as Ids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from web.twisters.assembly import assemble
from web.twisters.collection import Collection, Difficulty, Entry, Length, length_of, load_collection
from web.twisters.richness import is_rich, richness

LETTERS_PER_SECOND: Mapping[int, float] = {1: 12.0, 2: 11.0, 3: 10.0}
"""Reading aloud has about 14 letters a second; who practises reads slower, and hard texts slower still."""
PAUSE = 0.3
"""Seconds at a comma or a full stop inside a text."""
NEAR_BEST = 0.6
"""Texts with at least this part of the best one's richness are drawn from, so that not the same few come always."""
DRAFTS = 60
"""Sentences put together for one choice; a few milliseconds."""


@dataclass(frozen=True)
class Twister:
    """A text to read.

    `coverage`: letters and sounds to how often they are said. `seconds`: about how long reading it takes. `assembled`:
    put together from parts. `rich`: has the wanted sounds as often as practice needs; where not, it is the richest that
    there is. `missing`: wanted sounds that it has not.
    """

    text: str
    id: str
    coverage: dict[str, int]
    difficulty: Difficulty
    length: Length
    seconds: float
    assembled: bool
    rich: bool
    missing: tuple[str, ...]


def choose(
    language: str,
    sounds: Sequence[str],
    difficulty: Difficulty,
    length: Length,
    recent: Ids[str],
    rng: random.Random,
) -> Twister:
    """A text rich in `sounds`, letters or sounds that the language's file names; equal arguments give an equal one.

    Without sounds it is one for fluency, as with a stutter. `recent`: ids of texts that must not come. First come
    written texts of that difficulty and length, then assembled ones, then the richest of whatever there is. Raises
    `TwisterError` where the language has no texts.
    """
    collection = load_collection(language)
    wanted = tuple(dict.fromkeys(sound.lower() for sound in sounds))
    had = set(recent)
    written = [entry for entry in collection.entries if entry.id not in had]
    if not wanted:
        return _fluent(collection, written, difficulty, length, had, rng)
    fitting = [entry for entry in written if (entry.difficulty, length_of(entry.letters)) == (difficulty, length)]
    if rich := [entry for entry in fitting if is_rich(entry.counts, entry.letters, wanted)]:
        return _twister(collection, _draw(rich, wanted, rng), wanted)
    drafts = _drafts(collection, wanted, difficulty, had, rng)
    fitting += [entry for entry in drafts if (entry.difficulty, length_of(entry.letters)) == (difficulty, length)]
    same_length = [entry for entry in written + drafts if length_of(entry.letters) == length]
    for pool in (fitting, same_length, written + drafts):
        if rich := [entry for entry in pool if is_rich(entry.counts, entry.letters, wanted)]:
            return _twister(collection, _draw(rich, wanted, rng), wanted)
    return _twister(collection, _draw(fitting or same_length or written + drafts, wanted, rng), wanted)


def _fluent(
    collection: Collection,
    written: list[Entry],
    difficulty: Difficulty,
    length: Length,
    had: set[str],
    rng: random.Random,
) -> Twister:
    smooth = [entry for entry in written if "stutter" in entry.purposes]
    same = [entry for entry in smooth if entry.difficulty == difficulty]
    fitting = [entry for entry in same if length_of(entry.letters) == length]
    pool = fitting or same or smooth or written or _drafts(collection, (), difficulty, had, rng)
    return _twister(collection, rng.choice(pool), ())


def _drafts(
    collection: Collection, wanted: Sequence[str], difficulty: Difficulty, had: set[str], rng: random.Random
) -> list[Entry]:
    """Assembled texts that were not had; more are put together until there is one."""
    found: dict[str, Entry] = {}
    while not found:
        for _ in range(DRAFTS):
            draft = assemble(collection, wanted, difficulty, rng)
            if draft.id not in had:
                found[draft.id] = draft
    return list(found.values())


def _draw(entries: list[Entry], wanted: Sequence[str], rng: random.Random) -> Entry:
    worth = {entry.id: richness(entry.counts, entry.letters, wanted) for entry in entries}
    best = max(worth.values())
    return rng.choice([entry for entry in entries if worth[entry.id] >= NEAR_BEST * best])


def _twister(collection: Collection, entry: Entry, wanted: Sequence[str]) -> Twister:
    pauses = sum(entry.text[:-1].count(mark) for mark in ",;:.!?—")
    return Twister(
        text=entry.text,
        id=entry.id,
        coverage=dict(entry.counts),
        difficulty=entry.difficulty,
        length=length_of(entry.letters),
        seconds=round(entry.letters / LETTERS_PER_SECOND[entry.difficulty] + PAUSE * pauses, 1),
        assembled=entry.origin == "assembled",
        rich=is_rich(entry.counts, entry.letters, wanted),
        missing=tuple(sound for sound in wanted if not entry.counts.get(sound)),
    )
