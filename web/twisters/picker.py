"""The choice of the next text: for given sounds, difficulty and length, none of those that were had of late."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Ids
from dataclasses import dataclass

from web.twisters.assembly import assemble
from web.twisters.collection import Collection, Difficulty, Entry, Length, length_of, load_collection
from web.twisters.richness import has_all, is_rich, richness

LETTERS_PER_SECOND: Mapping[int, float] = {1: 12.0, 2: 11.0, 3: 10.0}
"""Reading aloud has about 14 letters a second; who practises reads slower, and hard texts slower still."""
PAUSE = 0.3
"""Seconds at a comma or a full stop inside a text."""
NEAR_BEST = 0.6
"""Texts with at least this part of the best one's richness are drawn from, so that not the same few come always."""
DRAFTS = 60
"""Sentences put together in a round; about ten milliseconds."""
ROUNDS = 4


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
    known = [sound for sound in wanted if sound in collection.patterns]

    def good(entry: Entry) -> bool:
        fits = entry.difficulty == difficulty and length_of(entry.letters) == length
        return fits and is_rich(entry.counts, entry.letters, known)

    if ready := [entry for entry in written if good(entry)]:
        return _twister(_draw(ready, known, rng), wanted)
    drafts = _drafts(collection, known, difficulty, had, rng, good)
    if ready := [entry for entry in drafts if good(entry)]:
        return _twister(_draw(ready, known, rng), wanted)
    long_enough = [entry for entry in written + drafts if length_of(entry.letters) == length]
    no_harder = [entry for entry in long_enough if entry.difficulty <= difficulty]
    exact = [entry for entry in no_harder if entry.difficulty == difficulty]
    pools = [pool for pool in (exact, no_harder, long_enough, written + drafts) if pool]
    for enough in (is_rich, has_all):
        for pool in pools:
            if some := [entry for entry in pool if enough(entry.counts, entry.letters, known)]:
                return _twister(_draw(some, known, rng), wanted)
    return _twister(_draw(pools[0], known, rng), wanted)


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
    pool = fitting or same or smooth or written or _drafts(collection, (), difficulty, had, rng, lambda entry: True)
    return _twister(rng.choice(pool), ())


def _drafts(
    collection: Collection,
    wanted: Sequence[str],
    difficulty: Difficulty,
    had: set[str],
    rng: random.Random,
    good: Callable[[Entry], bool],
) -> list[Entry]:
    """Assembled texts that were not had; more are put together, up to `ROUNDS` times, while none is good."""
    found: dict[str, Entry] = {}
    rounds = 0
    while not found or (rounds < ROUNDS and not any(map(good, found.values()))):
        rounds += 1
        for _ in range(DRAFTS):
            draft = assemble(collection, wanted, difficulty, rng)
            if draft.id not in had:
                found[draft.id] = draft
    return list(found.values())


def _draw(entries: list[Entry], wanted: Sequence[str], rng: random.Random) -> Entry:
    worth = {entry.id: richness(entry.counts, entry.letters, wanted) for entry in entries}
    best = max(worth.values())
    return rng.choice([entry for entry in entries if worth[entry.id] >= NEAR_BEST * best])


def _twister(entry: Entry, wanted: Sequence[str]) -> Twister:
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
