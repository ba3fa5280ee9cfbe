"""A dataset's own files: no row may have another one of this machine read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.recognition.hub import hub_token
from speech.archives.errors import ForbiddenSource
from tabular.recordings import MatchError, RecordingNames


@dataclass(frozen=True)
class Origin:
    """A dataset as it is now: `place` is its name on the hub or a local folder, `digest` stands for its content."""

    name: str
    place: str
    revision: str | None
    digest: str

    @property
    def local(self) -> bool:
        return self.revision is None


class DatasetFiles:
    """A dataset's own files, by the names that its rows give them: no row may have another one read."""

    def __init__(self, origin: Origin, cache: Path) -> None:
        self._origin = origin
        self._fetchable = _fetchable(origin, cache)

    def read(self, path: str) -> bytes | None:
        """The bytes of the file that `path` means, as it stands or by its longest end; None where there is none."""
        place = path if self._fetchable(path) else self.name_of(path)
        if place is None:
            return None
        if "://" not in place:
            file = Path(place)
            return file.read_bytes() if file.is_file() else None
        from datasets.utils.file_utils import xopen

        with xopen(place, "rb") as remote:
            return bytes(remote.read())

    def name_of(self, path: str) -> str | None:
        """Where the file is that `path` means; None where the dataset has none."""
        try:
            found = self._names.find(path).path
        except MatchError:
            return None
        if self._origin.local:
            return str(Path(self._origin.place) / found)
        return f"hf://datasets/{self._origin.place}@{self._origin.revision}/{found}"

    @cached_property
    def _names(self) -> RecordingNames:
        if self._origin.local:
            return RecordingNames(files_below(Path(self._origin.place)))
        from huggingface_hub import HfApi

        api = HfApi(token=hub_token())
        return RecordingNames(
            api.list_repo_files(self._origin.place, repo_type="dataset", revision=self._origin.revision)
        )


def files_below(folder: Path) -> Iterator[str]:
    """Paths of the files below a folder, relative to it, in order. Raises `ForbiddenSource` for a link."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if path.is_symlink():
                raise ForbiddenSource(str(folder), f"{path} is a link", "Put the file itself there")
            yield path.relative_to(folder).as_posix()


def _fetchable(origin: Origin, cache: Path) -> Callable[[str], bool]:
    """Whether a path that a row names is the dataset's own: no row may have another file of this machine read."""
    from huggingface_hub.constants import HF_HUB_CACHE

    kept = Path(HF_HUB_CACHE) / f"datasets--{origin.place.replace('/', '--')}"
    roots = [cache.resolve(), Path(origin.place) if origin.local else kept.resolve()]
    remote = f"hf://datasets/{origin.place}@{origin.revision}/"

    def fetchable(path: str) -> bool:
        if not origin.local and path.startswith(remote):
            return ".." not in PurePosixPath(path).parts
        return "://" not in path and any(Path(path).resolve().is_relative_to(root) for root in roots)

    return fetchable
