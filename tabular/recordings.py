"""Which recording a name in a table means: by path or base name, without regard to case, extension optional."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote

from tabular.letters import visible
from tabular.spreadsheets import ChangedNames

AUDIO_EXTENSIONS = frozenset(
    {"aac", "aif", "aiff", "amr", "au", "caf", "flac", "m4a", "mka", "mp2", "mp3", "mp4", "oga", "ogg", "opus"}
    | {"3gp", "wav", "webm", "wma", "wv"}
)
_DRIVE = re.compile(r"[A-Za-z]:")


class MatchError(LookupError):
    """A row names no recording, or several (`found`); `code` is `no_audio` or `ambiguous_audio`."""

    def __init__(self, code: str, message: str, found: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.found = found


@dataclass(frozen=True)
class Match:
    """The file a row means, as the index was given it; `renamed` if only its extension differs."""

    path: str
    renamed: bool = False


class RecordingNames:
    """Files, found by the names that tables give them. `preferred` are folders where recordings are meant to lie."""

    def __init__(self, files: Iterable[str], preferred: Sequence[str] = ("",)) -> None:
        self.files = tuple(files)
        self._preferred_folders = preferred
        self._places = {above for file in self.files for above in _above(file)}
        self._folders = {place.rpartition("/")[2] for place in self._places}
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

    @cached_property
    def _changed(self) -> ChangedNames:
        return ChangedNames(_stem(PurePosixPath(file).name) for file in self.audio)

    def find(self, name: str) -> Match:
        """The file that `name` means: the longest end of it that is a file's path, or the end of one.

        So a full path of another computer is found. Each end is looked for as it stands, then without its extension,
        if it has none or one of sound; of several files those in the preferred folders count. An end is no match where
        the folder before it contradicts: `test/a.mp3` is not `train/a.mp3` where there is a `test`.

        Raises `MatchError`, with a hint where a spreadsheet may have changed the name.
        """
        parts = _parts(name)
        if not parts:
            raise MatchError("no_audio", f"the file name {name!r} names no file")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            before = _key(parts[start - 1]) if start else None
            for table, key, renamed in self._lookups(end):
                if found := table.get(key, []):
                    return self._chosen(name, end, found, before, renamed)
        raise self._nothing(name, parts[-1])

    def _chosen(self, name: str, end: str, found: list[str], before: str | None, renamed: bool) -> Match:
        fitting = [file for file in found if not self._contradicts(before, end, file)]
        if not fitting:
            message = f"there is no audio file {name!r} in the archive; {end} lies in another folder there: {found[0]}"
            raise MatchError("no_audio", message)
        fitting = self._preferred(fitting, end)
        if len(fitting) > 1:
            some = ", ".join(fitting[:3])
            message = f"{name!r} may mean {len(fitting)} files ({some}); give its path in the table"
            raise MatchError("ambiguous_audio", message, tuple(fitting))
        return Match(fitting[0], renamed)

    def _contradicts(self, before: str | None, end: str, file: str) -> bool:
        """Whether the folder that a name has before `end` is another one of the archive than `file`'s."""
        folders = _key(file).split("/")[:-1]
        if before not in self._folders or before in folders:
            return False
        outer = folders[: len(folders) - end.count("/")]
        return "/" not in end or "/".join([*outer[:-1], before]) in self._places

    def _nothing(self, name: str, last: str) -> MatchError:
        stem = _stem(last) if _extension(last) in AUDIO_EXTENSIONS else last
        because = self._changed.hint(visible(stem))
        message = f"there is no audio file {name!r} in the archive"
        return MatchError("no_audio", f"{message}; {because}" if because else message)

    def _lookups(self, end: str) -> list[tuple[dict[str, list[str]], str, bool]]:
        """Tables to look in with their keys, and whether a hit has another extension than the one written."""
        key = _key(end)
        lookups = [(self._by_path, "/".join(filter(None, (folder, key))), False) for folder in self._preferred_folders]
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
        for folder in self._preferred_folders:
            inside = [file for file in candidates if _key(str(PurePosixPath(file).parent)) == (folder or ".")]
            if inside:
                return inside
        return candidates


def _parts(name: str) -> list[str]:
    """The folders and the file of a path of any system, or of a file: address; `..` takes the folder before it back."""
    if name.casefold().startswith("file:"):
        name = unquote(name[5:])
    parts: list[str] = []
    for part in _DRIVE.sub("", unicodedata.normalize("NFC", name.replace("\\", "/")), count=1).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _above(file: str) -> list[str]:
    """The paths of the folders that `file` is in."""
    return [_key(str(folder)) for folder in PurePosixPath(file).parents if folder.name]


def _key(path: str) -> str:
    return visible(unicodedata.normalize("NFC", path)).casefold()


def _extension(path: str) -> str:
    return PurePosixPath(path).suffix[1:].casefold()


def _stem(path: str) -> str:
    """`path` without its last extension."""
    return path[: -len(suffix)] if (suffix := PurePosixPath(path).suffix) else path
