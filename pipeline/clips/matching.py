"""The files of an unpacked archive, found by the names that its table gives them."""

from __future__ import annotations

import os
from pathlib import Path

from tabular.recordings import Match, MatchError, RecordingNames

__all__ = ["AudioIndex", "Match", "MatchError"]

AUDIO_FOLDER = "data_mp3"
PREFERRED_FOLDERS = (f"{AUDIO_FOLDER}/train", AUDIO_FOLDER, "")  # where contract and README say that audio lies
_JUNK_FOLDERS = frozenset({"__macosx"})


class AudioIndex(RecordingNames):
    """The files of one unpacked archive; paths are relative to its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(sorted(_files(folder)), PREFERRED_FOLDERS)


def _files(folder: Path) -> list[str]:
    """Paths of regular files below `folder`, relative, with forward slashes; hidden ones and Mac leftovers left out."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name.casefold() not in _JUNK_FOLDERS]
        base = Path(root)
        for name in names:
            path = base / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                found.append(path.relative_to(folder).as_posix())
    return found
