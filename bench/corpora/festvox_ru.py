"""A man who reads 620 sentences: what Festival's Russian voice was cut from, with the times of all phones."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from bench.corpora import letters, packages, sounds
from bench.corpora.clips import Clip, Timed
from bench.corpora.recipe import Item, Recipe, Recorded
from pipeline.progress import Report

PACKAGE, SPEAKER = "festvox-ru", "festvox-nsh"
VOICE = Path("usr/share/festival/voices/russian/msu_ru_nsh_clunits")
LICENCE = "BSD-like"
PAUSE = "pau"
_LINE = re.compile(r'^\(\s*(\S+)\s+"(.*)"\s*\)\s*$')


def items(store: Path, report: Report) -> list[Item]:
    """Every recording that has a text and phones."""
    voice = packages.debian(PACKAGE, store, report) / VOICE
    said = texts((voice / "etc" / "txt.done.data").read_text(encoding="utf-8"))
    return [
        Item(
            Clip(f"wav/{name}.wav", text.replace("+", ""), SPEAKER, "ru", PACKAGE, LICENCE, may_ship=True),
            partial(_recorded, voice / "wav" / f"{name}.wav", voice / "lab" / f"{name}.lab", text),
        )
        for name, text in sorted(said.items())
        if (voice / "wav" / f"{name}.wav").is_file()
    ]


def texts(data: str) -> dict[str, str]:
    """Name to text of Festival's `txt.done.data`; a + stands before a stressed vowel."""
    found = (_LINE.match(line) for line in data.splitlines())
    return {match[1]: match[2].replace('\\"', '"') for match in found if match}


def phones(lab: str) -> tuple[Timed, ...]:
    """The phones of an xwaves label file, which tells the end of each; pauses are left out."""
    found, start = [], 0.0
    for line in lab.partition("#\n")[2].splitlines():
        end, _, symbol = line.split()
        if symbol != PAUSE:
            found.append((symbol, start, float(end)))
        start = float(end)
    return tuple(found)


def _recorded(wav: Path, lab: Path, text: str) -> Recorded:
    spoken = phones(lab.read_text(encoding="utf-8")) if lab.is_file() else ()
    return Recorded(sounds.decoded(wav).sound, spoken, letters.sounding(text, spoken))


RECIPE = Recipe(
    "festvox-ru", 179, LICENCE, "a man, fluent, 100 min with texts and phone times: letters, false alarms", items
)
