"""The table of a corpus, `clips.csv`: one row a recording, with what is known of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from speech.files import write_atomically

TABLE = "clips.csv"

Timed = tuple[str, float, float]
"""A phone or a letter with its start and end in seconds."""


class CorpusError(RuntimeError):
    """A corpus cannot be made or read. The message is one line that names the remedy."""


@dataclass(frozen=True)
class Clip:
    """One recording: `file` below the corpus' folder, mono wav at 16 kHz.

    `text` is empty where it is unknown. `letters` are the р and г whose sound is a [r] or a [g].
    """

    file: str
    text: str
    speaker: str
    language: str
    source: str
    licence: str
    may_ship: bool
    """Whether the licence lets a model that learned from the recording be given away under another licence."""
    phones: tuple[Timed, ...] = ()
    letters: tuple[Timed, ...] = ()


def write_clips(folder: Path, clips: Sequence[Clip]) -> None:
    """Write `clips.csv` whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Clip)], lineterminator="\n")
    writer.writeheader()
    for clip in clips:
        timed = {name: json.dumps(getattr(clip, name), ensure_ascii=False) for name in ("phones", "letters")}
        writer.writerow({**asdict(clip), **timed, "may_ship": "yes" if clip.may_ship else "no"})
    write_atomically(folder / TABLE, text.getvalue())


def read_clips(folder: Path) -> list[Clip]:
    """The clips of a corpus' folder. Raises `CorpusError` where there is no table or it is another one."""
    path = folder / TABLE
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return [_clip(row) for row in rows]
    except FileNotFoundError:
        raise CorpusError(
            f"{path} is missing; make it: python -m bench.corpora --to {folder.parent} {folder.name}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path} is no table of clips ({error!r}); delete it and make the corpus again") from error


def _clip(row: dict[str, str]) -> Clip:
    def timed(name: str) -> tuple[Timed, ...]:
        return tuple((str(symbol), float(start), float(end)) for symbol, start, end in json.loads(row[name]))

    plain = {name: row[name] for name in ("file", "text", "speaker", "language", "source", "licence")}
    return Clip(**plain, may_ship=row["may_ship"] == "yes", phones=timed("phones"), letters=timed("letters"))
