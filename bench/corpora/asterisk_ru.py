"""A woman who speaks the prompts of a telephone exchange; there are no texts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.corpora import packages, sounds
from bench.corpora.clips import Clip
from bench.corpora.recipe import Item, Recipe
from pipeline.progress import Report

PACKAGE, SPEAKER = "asterisk-core-sounds-ru-g722", "asterisk-ivrvoice"
SOUNDS = Path("usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU")
LICENCE = "CC-BY-3.0"
NO_SPEECH = ("silence/", "beep", "ascending-2tone", "descending-2tone", "confbridge-join", "confbridge-leave")


def items(store: Path, report: Report) -> list[Item]:
    """Every prompt that is spoken."""
    folder = packages.debian(PACKAGE, store, report) / SOUNDS
    names = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.g722"))}
    return [
        Item(
            Clip(f"wav/{name}.wav", "", SPEAKER, "ru", PACKAGE, LICENCE, may_ship=True),
            partial(sounds.g722, path),
        )
        for name, path in names.items()
        if not name.startswith(NO_SPEECH)
    ]


RECIPE = Recipe("asterisk-ru", 11, LICENCE, "a woman, fluent, 25 min of prompts without texts: false alarms", items)
