"""Hugging Face datasets as archives in our layout: `data_train.csv` (file, text, speaker) and `data_mp3/train/*`.

Recordings keep their bytes: nothing is decoded here, and what cannot be decoded is a row's fault later. The library
runs no code that comes with a dataset. Row n of the split is row n + 2 of the table, as a spreadsheet counts.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.archive.budget import Budget, UnpackLimits
from pipeline.archive.layout import AUDIO, LABELS
from pipeline.archive.local import allowed_path
from pipeline.archive.meter import Meter
from pipeline.progress import Report
from pipeline.recognition.hub import HUB, hub_errors, hub_token
from pipeline.recognition.settings import DatasetSettings
from speech.archives.errors import DiskFull, ForbiddenSource, SourceNotFound, UnexpectedLayout, is_disk_full
from speech.files import digest_of, sha256_file
from tabular.recordings import AUDIO_EXTENSIONS

SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAGIC = ((b"RIFF", "wav"), (b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"\xff\xfb", "mp3"))
_ASK_SECONDS = 30.0  # for the hub's answer to what a name means now


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


def identify(settings: DatasetSettings, roots: tuple[Path, ...]) -> Origin:
    """Which dataset the settings mean: the commit of one on the hub, the hash of a local folder's files.

    Raises `ArchiveError`: a local folder outside `roots`, or a name that the hub does not have or does not give.
    """
    name = settings.name.strip()
    if name.startswith((".", "/", "~")) or Path(name).exists():
        folder = allowed_path(name, roots)
        if not folder.is_dir():
            raise SourceNotFound(name, f"{folder} is no folder", "Give the folder of a dataset, or a name on the hub")
        return Origin(folder.name, str(folder), None, _digest_of_folder(folder))
    if not _HUB_NAME.fullmatch(name):
        raise SourceNotFound(name, "is no name of a dataset", f"Give owner/name as {HUB}/datasets shows it, or a path")
    if settings.revision and _COMMIT.fullmatch(settings.revision):
        return Origin(name, name, settings.revision, settings.revision)
    from huggingface_hub import HfApi

    with hub_errors(name):
        found = HfApi(token=hub_token()).dataset_info(name, revision=settings.revision, timeout=_ASK_SECONDS)
    return Origin(name, name, str(found.sha), str(found.sha))


def write_archive(
    origin: Origin, settings: DatasetSettings, folder: Path, cache: Path, limits: UnpackLimits, say: Report
) -> dict[str, Any]:
    """Write the split into the empty `folder` as an archive; a summary for the run's log.

    Downloads are kept in `cache` and go on there after a break. Raises `ArchiveError` where the dataset, its
    configuration, split or columns cannot be had, or where it holds more than the limits.
    """
    say(f"{origin.name}: reading the split {settings.split}")
    try:
        with hub_errors(origin.name):
            return _write(origin, settings, folder, cache, limits, say)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull.of(origin.name, folder) from error
        raise


def _write(
    origin: Origin, settings: DatasetSettings, folder: Path, cache: Path, limits: UnpackLimits, say: Report
) -> dict[str, Any]:
    rows = _rows(origin, settings, cache)
    speaker = settings.speaker_column or next((name for name in SPEAKER_COLUMNS if name in rows.column_names), None)
    place = folder / AUDIO / "train"
    place.mkdir(parents=True)
    # The table is written last: an archive without one is not whole.
    lines: list[tuple[str, str, str]] = []
    budget = Budget(origin.name, limits, 1, Meter(f"{origin.name}: recordings", None, say))
    fetchable = _fetchable(origin, cache)
    for number, row in enumerate(rows):
        if number >= limits.max_files:
            raise _too_many(origin, limits)
        audio = row[settings.audio_column]
        sound = _sound(audio, fetchable)
        file = f"clip_{number + 1:06d}.{_extension(audio, sound)}"
        if sound is not None:
            budget.spend(file, len(sound), len(sound))
            (place / file).write_bytes(sound)
        lines.append((file, _cell(row[settings.text_column]), _cell(row[speaker]) if speaker else ""))
    with (folder / LABELS).open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("file", "text", "speaker"))
        writer.writerows(lines)
    budget.meter.finish()
    return {
        "namespace": origin.name,
        "source": origin.place,
        "revision": origin.revision or origin.digest,
        "configuration": settings.configuration or "default",
        "split": settings.split,
        "rows": len(lines),
        "speaker_column": speaker or "none",
        "megabytes": round(budget.bytes / 1e6, 1),
    }


def dataset_limits(limits: UnpackLimits) -> UnpackLimits:
    """The limits of an archive as they hold for a dataset, of which nothing is unpacked."""
    return UnpackLimits(limits.max_files, limits.max_bytes, limits.max_file_bytes, max_ratio=math.inf)


def _rows(origin: Origin, settings: DatasetSettings, cache: Path) -> Any:
    """The split's rows with the columns that are needed, recordings not decoded."""
    from datasets import Audio, load_dataset_builder
    from pyarrow import ArrowException

    from pipeline.recognition.undecoded import Undecoded

    try:
        builder = load_dataset_builder(
            origin.place,
            settings.configuration,
            revision=origin.revision,
            cache_dir=str(cache),
            token=hub_token(),
        )
        builder.BASE_FEATURE = Undecoded  # of folders of audio
        if settings.streaming:
            rows = builder.as_streaming_dataset(settings.split)
            rows = rows.decode(False) if rows.features else rows
        else:
            builder.download_and_prepare()
            rows = builder.as_dataset(settings.split)
    except ArrowException:  # a ValueError too
        raise
    except ValueError as error:
        # Unknown configurations and splits; the library's sentence names those that there are.
        raise UnexpectedLayout(
            origin.name,
            " ".join(str(error).split()).rstrip("."),
            "Set dataset.configuration and dataset.split",
        ) from error
    names = rows.column_names
    if names is None:  # a stream tells them with its first row
        names = list(next(iter(rows)))
    wanted = {
        "audio_column": settings.audio_column,
        "text_column": settings.text_column,
        "speaker_column": settings.speaker_column,
    }
    for field, column in wanted.items():
        if column is not None and column not in names:
            raise UnexpectedLayout(
                origin.name,
                f"has no column {column!r}; it has {', '.join(names)}",
                f"Set dataset.{field} to one of them",
            )
    keep = [name for name in names if name in {*wanted.values(), *SPEAKER_COLUMNS}]
    kind = (rows.features or {}).get(settings.audio_column)
    if kind is not None and not isinstance(kind, Audio) and not (isinstance(kind, dict) and "bytes" in kind):
        raise _no_audio(origin, settings)
    rows = rows.select_columns(keep)
    try:
        return rows.cast_column(settings.audio_column, Undecoded())
    except (TypeError, ArrowException) as error:
        raise _no_audio(origin, settings) from error


def _no_audio(origin: Origin, settings: DatasetSettings) -> UnexpectedLayout:
    return UnexpectedLayout(
        origin.name,
        f"its column {settings.audio_column!r} holds no recordings",
        "Set dataset.audio_column to the one with sound",
    )


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


def _sound(audio: Any, fetchable: Callable[[str], bool]) -> bytes | None:
    """The bytes of a recording as they were uploaded; None where there are none, which the clips stage will say."""
    if not isinstance(audio, dict):
        return None
    if audio.get("bytes") is not None:
        return bytes(audio["bytes"])
    path = audio.get("path")
    if not path or not fetchable(path):
        return None
    if "://" not in path:
        file = Path(path)
        return file.read_bytes() if file.is_file() else None
    from datasets.utils.file_utils import xopen

    with xopen(path, "rb") as remote:
        return bytes(remote.read())


def _extension(audio: Any, sound: bytes | None) -> str:
    """As the recording's own name has it, else by its first bytes."""
    named = PurePosixPath((audio or {}).get("path") or "").suffix[1:].casefold()
    if named in AUDIO_EXTENSIONS:
        return named
    return next((name for magic, name in _MAGIC if (sound or b"").startswith(magic)), "audio")


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _too_many(origin: Origin, limits: UnpackLimits) -> UnexpectedLayout:
    return UnexpectedLayout(
        origin.name, f"holds more than {limits.max_files} rows", "Raise max_files, or take a part of the split"
    )


def _digest_of_folder(folder: Path) -> str:
    return digest_of({path: sha256_file(folder / path) for path in _files(folder)})


def _files(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if path.is_symlink():
                raise ForbiddenSource(str(folder), f"{path} is a link", "Put the file itself there")
            yield path.relative_to(folder).as_posix()
