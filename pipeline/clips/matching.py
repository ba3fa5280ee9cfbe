"""Which audio file a row means: by its path or its base name, without regard to case, extension optional."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

AUDIO_FOLDER = "data_mp3"
PREFERRED_FOLDERS = (f"{AUDIO_FOLDER}/train", AUDIO_FOLDER, "")  # where contract and README say that audio lies
AUDIO_EXTENSIONS = frozenset(
    {"aac", "aif", "aiff", "amr", "au", "caf", "flac", "m4a", "mka", "mp2", "mp3", "mp4", "oga", "ogg", "opus"}
    | {"3gp", "wav", "webm", "wma", "wv"}
)
_JUNK_FOLDERS = frozenset({"__macosx"})


class MatchError(LookupError):
    """A row names no audio file, or several (`found`); `code` is `no_audio` or `ambiguous_audio`."""

    def __init__(self, code: str, message: str, found: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.found = found


@dataclass(frozen=True)
class Match:
    """The file a row means, relative to the archive's folder; `renamed` if only its extension differs."""

    path: str
    renamed: bool = False


class AudioIndex:
    """The files of one unpacked archive, found by the names that tables give them."""

    def __init__(self, folder: Path) -> None:
        self.files = tuple(sorted(_files(folder)))
        self._folders = {_key(part) for file in self.files for part in PurePosixPath(file).parent.parts}
        self._by_path: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for file in self.files:
            parts = _key(file).split("/")
            self._by_path.setdefault("/".join(parts), []).append(file)
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                self._by_end.setdefault(end, []).append(file)
                if _extension(file) in AUDIO_EXTENSIONS:
                    self._by_stem.setdefault(_stem(end), []).append(file)

    @property
    def audio(self) -> tuple[str, ...]:
        """Files whose extension is one of sound."""
        return tuple(file for file in self.files if _extension(file) in AUDIO_EXTENSIONS)

    def find(self, name: str) -> Match:
        """The file that `name` means.

        Tried in order: the path as it stands below the archive, data_mp3 and data_mp3/train; any path ending in it;
        the same without its extension, if it has none or one of sound. A path from another computer, whose folders
        the archive does not have, is found by its base name. Raises `MatchError`.
        """
        wanted = unicodedata.normalize("NFC", name.replace("\\", "/"))
        parts = [part for part in wanted.split("/") if part not in ("", ".")]
        if not parts:
            raise MatchError("no_audio", f"the file name {name!r} names no file")
        ends = ["/".join(parts)]
        if len(parts) > 1 and _key(parts[-2]) not in self._folders:
            ends.append(parts[-1])
        for end in ends:
            for table, key, renamed in self._lookups(end):
                if found := self._preferred(table.get(key, []), end):
                    if len(found) > 1:
                        some = ", ".join(found[:3])
                        message = f"{name!r} may mean {len(found)} files ({some}); give its path in the table"
                        raise MatchError("ambiguous_audio", message, tuple(found))
                    return Match(found[0], renamed)
        raise MatchError("no_audio", f"there is no audio file {name!r} in the archive")

    def _lookups(self, end: str) -> list[tuple[dict[str, list[str]], str, bool]]:
        """Tables to look in with their keys, and whether a hit has another extension than the one written."""
        key = _key(end)
        lookups = [(self._by_path, "/".join(filter(None, (folder, key))), False) for folder in PREFERRED_FOLDERS]
        lookups.append((self._by_end, key, False))
        if _extension(end) in AUDIO_EXTENSIONS:
            lookups.append((self._by_stem, _stem(key), True))
        lookups.append((self._by_stem, key, False))
        return lookups

    def _preferred(self, found: list[str], end: str) -> list[str]:
        """Of several files those spelled as written, and of these the one where audio is meant to lie."""
        if len(found) < 2:
            return found
        spelled = [file for file in found if unicodedata.normalize("NFC", file).endswith(end)]
        candidates = spelled or found
        for folder in PREFERRED_FOLDERS:
            inside = [file for file in candidates if _key(str(PurePosixPath(file).parent)) == (folder or ".")]
            if inside:
                return inside
        return candidates


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


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _extension(path: str) -> str:
    return PurePosixPath(path).suffix[1:].casefold()


def _stem(path: str) -> str:
    """`path` without its last extension."""
    return path[: -len(suffix)] if (suffix := PurePosixPath(path).suffix) else path
