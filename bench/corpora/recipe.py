"""What a recipe of a corpus is, and how a folder is made of one.

Each recording is written whole, then noted in `clips.partial`. A run that was interrupted leaves out what is noted
there. `clips.csv` appears last: a folder that has it is finished.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from bench.corpora.clips import TABLE, Clip, Timed, write_clips
from pipeline.progress import Report
from speech.audio.decode import SAMPLE_RATE, AudioError
from speech.files import write_atomically

NOTES = "clips.partial"
REPORT_EVERY = 50  # recordings


@dataclass(frozen=True)
class Recorded:
    """Sound (n,) float32 at 16 kHz, and the times of what is spoken in it where they are known."""

    sound: np.ndarray
    phones: tuple[Timed, ...] = ()
    letters: tuple[Timed, ...] = ()


@dataclass(frozen=True)
class Item:
    """One recording to be made: its row without times, and what records it.

    `record` raises `AudioError` for a recording that holds no sound; it is left out.
    """

    clip: Clip
    record: Callable[[], Recorded]


@dataclass(frozen=True)
class Recipe:
    """A corpus. `items` gets the folder where packages are kept and fetches what it lacks there."""

    name: str
    megabytes: int
    """To be downloaded."""
    licence: str
    purpose: str
    items: Callable[[Path, Report], Sequence[Item]]


def make(recipe: Recipe, to: Path, report: Report) -> list[Clip]:
    """Make the folder `to/<name>`; nothing is done again that is done. Returns its new clips.

    Raises `CorpusError` where a tool, a package or the network is missing.
    """
    folder = to / recipe.name
    if (folder / TABLE).is_file():
        report(f"{recipe.name}: already in {folder}")
        return []
    items = recipe.items(to / ".packages", report)
    noted = {clip.file: clip for clip in _notes(folder / NOTES)}
    clips, left_out = [], 0
    for number, item in enumerate(items, start=1):
        clip = noted.get(item.clip.file)
        if clip is None:
            try:
                clip = _record(item, folder)
            except AudioError:
                left_out += 1
        if clip is not None:
            clips.append(clip)
        if number % REPORT_EVERY == 0 or number == len(items):
            report(f"{recipe.name}: {number} of {len(items)} recordings")
    write_clips(folder, clips)
    (folder / NOTES).unlink(missing_ok=True)
    report(f"{recipe.name}: {len(clips)} clips in {folder}" + (f", {left_out} without sound left out" * (left_out > 0)))
    return clips


def _record(item: Item, folder: Path) -> Clip:
    recorded = item.record()
    path = folder / item.clip.file
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(recorded.sound, -1.0, 1.0), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    write_atomically(path, buffer.getvalue())
    clip = replace(item.clip, phones=recorded.phones, letters=recorded.letters)
    with (folder / NOTES).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(asdict(clip), ensure_ascii=False) + "\n")
    return clip


def _notes(path: Path) -> list[Clip]:
    """The clips noted so far; a last line that broke off is passed over."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        timed = {name: tuple((s, a, b) for s, a, b in row[name]) for name in ("phones", "letters")}
        found.append(Clip(**{**row, **timed}))
    return found
