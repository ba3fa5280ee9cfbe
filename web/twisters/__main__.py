"""`python -m web.twisters`: how many texts there are for each sound, by difficulty."""

from __future__ import annotations

from web.twisters.collection import Collection, languages, load_collection

OFTEN = 3
"""A text counts for a sound that it has so often."""


def table(collection: Collection) -> str:
    """A row per sound: texts of each difficulty that have it often, and all of them."""
    rows = [f"{collection.language}: {len(collection.entries)} texts", f"{'':>4}{'1':>6}{'2':>6}{'3':>6}{'all':>6}"]
    for sound in collection.patterns:
        found = [entry.difficulty for entry in collection.entries if entry.counts.get(sound, 0) >= OFTEN]
        rows.append(f"{sound:>4}{found.count(1):>6}{found.count(2):>6}{found.count(3):>6}{len(found):>6}")
    fluent = [entry.difficulty for entry in collection.entries if "stutter" in entry.purposes]
    rows.append(f"for stutter: {', '.join(f'{fluent.count(level)} of difficulty {level}' for level in (1, 2, 3))}")
    return "\n".join(rows)


if __name__ == "__main__":
    print("\n\n".join(table(load_collection(language)) for language in languages()))
