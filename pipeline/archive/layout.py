"""Where the training data lies in an archive: wrapper folders are found and stripped."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from speech.archives.errors import UnexpectedLayout

LABELS = "data_train.csv"
AUDIO = "data_mp3"

TABLE = re.compile(
    r"data_train.*|.*\.(?:csv|tsv|tab|xls|xls[xmb]|ods|numbers)|.*(?:train|label|table|meta|метк|таблиц).*\.txt"
)
"""Names of files that could be tables, without capitals; texts are mostly no tables."""

Parts = tuple[str, ...]

_EXPECTED = f"{LABELS} and {AUDIO}/train/<recordings>, with any folders around both"


def places(source: str, entries: list[Parts]) -> list[PurePosixPath | None]:
    """For each file of an archive the path it is unpacked to, or None for one outside the layout.

    The root is the folder that holds `data_mp3` (in whatever case). Everything below `data_mp3` keeps its path; the
    labels are the `data_train.csv` beside it, or else in the nearest folder around it, or else directly in it. Where
    they are missing, every file that could be a table keeps its whole path, and the stage that reads tables chooses.

    Raises:
        UnexpectedLayout: no `data_mp3`, or several of them side by side.
    """
    root = _root(source, entries)
    depth = len(root)
    labels = _labels(root, entries)
    placed: list[PurePosixPath | None] = []
    for parts in entries:
        if parts == labels:
            placed.append(PurePosixPath(LABELS))
        elif parts[:depth] == root and len(parts) > depth + 1 and parts[depth].casefold() == AUDIO:
            placed.append(PurePosixPath(AUDIO, *parts[depth + 1 :]))
        elif labels is None and TABLE.fullmatch(parts[-1].casefold()):
            placed.append(PurePosixPath(*parts))
        else:
            placed.append(None)
    return placed


def _root(source: str, entries: list[Parts]) -> Parts:
    """The folder around the topmost `data_mp3`."""
    roots: set[Parts] = set()
    for parts in entries:
        folders = [part.casefold() for part in parts[:-1]]
        if AUDIO in folders:
            roots.add(parts[: folders.index(AUDIO)])
    if not roots:
        found = ", ".join("/".join(parts) for parts in entries[:10]) or "no files at all"
        more = f" and {len(entries) - 10} more" if len(entries) > 10 else ""
        raise UnexpectedLayout(
            source,
            f"there is no folder {AUDIO} with recordings in it; found: {found}{more}",
            f"Expected is {_EXPECTED}",
        )
    depth = min(map(len, roots))
    topmost = sorted("/".join(root) for root in roots if len(root) == depth)
    if len(topmost) > 1:
        raise UnexpectedLayout(
            source,
            f"there are {len(topmost)} folders {AUDIO}, in {', '.join(topmost[:10])}",
            "Give each as an archive of its own: a run takes several",
        )
    return next(root for root in roots if len(root) == depth)


def _labels(root: Parts, entries: list[Parts]) -> Parts | None:
    """The labels' place: beside `data_mp3`, else in the nearest folder around it, else directly in it."""
    named = [parts for parts in entries if parts[-1].casefold() == LABELS]
    around = [parts for parts in named if parts[:-1] == root[: len(parts) - 1]]
    within = [parts for parts in named if parts[:-2] == root and parts[-2:-1] and parts[-2].casefold() == AUDIO]
    return max(around, key=len) if around else next(iter(within), None)
