"""What KDE's games for children say: Russian words and, as probes, words in languages whose р or г is another sound.

The licence is the GPL: they are measured with only. A probe's language comes with its sound, so a probe shows whether
a model hears the sound at all, and proves nothing of a Russian speaker.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from bench.corpora import packages, sounds
from bench.corpora.clips import Clip
from bench.corpora.recipe import Item, Recipe
from pipeline.progress import Report

LANGUAGES = ("ru", "uk", "fr", "de", "da")
LICENCE = "GPL-2+"


def klettres(store: Path, report: Report) -> list[Item]:
    """Letters and syllables, with what is said."""
    folder = packages.debian("klettres-data", store, report) / "usr/share/klettres"
    found = [(language, folder, folder / language / "sounds.xml") for language in LANGUAGES]
    return [item for part in found for item in _spoken("klettres", *part, named=True)]


def ktuberling(store: Path, report: Report) -> list[Item]:
    """Words; the tables name them in English, so what is said is not written."""
    folder = packages.debian("ktuberling-data", store, report) / "usr/share/ktuberling/sounds"
    found = [(language, folder, folder / f"{language}.soundtheme") for language in LANGUAGES]
    return [item for part in found for item in _spoken("ktuberling", *part, named=False)]


def _spoken(game: str, language: str, folder: Path, table: Path, named: bool) -> list[Item]:
    """One language's sounds; two names of one file are one."""
    said = {sound.get("file", ""): sound.get("name", "") for sound in ElementTree.parse(table).iter("sound")}
    return [
        Item(
            Clip(
                f"wav/{Path(file).with_suffix('.wav').as_posix()}",
                text.lower() if named else "",
                f"{game}-{language}",
                language,
                f"{game}-data",
                LICENCE,
                may_ship=False,
            ),
            partial(sounds.decoded, folder / file),
        )
        for file, text in sorted(said.items())
        if file.startswith(f"{language}/") and (folder / file).is_file()
    ]


_PURPOSE = "measured with only: ru false alarms; uk as people's fricative г, fr, de and da as people's uvular р: probes"
KLETTRES = Recipe("klettres", 40, LICENCE, f"letters and syllables, {_PURPOSE}", klettres)
KTUBERLING = Recipe("ktuberling", 47, LICENCE, f"words, {_PURPOSE}", ktuberling)
