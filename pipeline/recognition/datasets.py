"""Hugging Face datasets as archives in our layout: `data_train.csv` (file, text, speaker) and `data_mp3/train/*`.

Recordings keep their bytes: nothing is decoded here, and what cannot be decoded is a row's fault later. The library
runs no code that comes with a dataset. Row n of the split is row n + 2 of the table, as a spreadsheet counts.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.archive.budget import Budget, UnpackLimits
from pipeline.archive.hub_names import linked_dataset
from pipeline.archive.layout import AUDIO, LABELS
from pipeline.archive.local import allowed_path
from pipeline.archive.meter import Meter
from pipeline.progress import Report
from pipeline.recognition.dataset_files import DatasetFiles, Origin, files_below
from pipeline.recognition.hub import HUB, hub_errors, hub_token
from pipeline.recognition.local_tables import read_local_table
from pipeline.recognition.recordings import AUDIO_COLUMNS, TEXT_COLUMNS, extension_of, path_of, sound_of, text_of
from pipeline.recognition.settings import DatasetSettings
from speech.archives.errors import DiskFull, SourceNotFound, UnexpectedLayout, is_disk_full
from speech.files import digest_of, sha256_file
from tabular.recordings import AUDIO_EXTENSIONS

SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOOKED_AT = 20  # rows by which a column of names is known for one of recordings
_ASK_SECONDS = 30.0  # for the hub's answer to what a name means now


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
    name, revision = linked_dataset(name) or (name, None)
    revision = settings.revision or revision
    if not _HUB_NAME.fullmatch(name):
        raise SourceNotFound(name, "is no name of a dataset", f"Give owner/name as {HUB}/datasets shows it, or a path")
    if revision and _COMMIT.fullmatch(revision):
        return Origin(name, name, revision, revision)
    from huggingface_hub import HfApi

    with hub_errors(name):
        found = HfApi(token=hub_token()).dataset_info(name, revision=revision, timeout=_ASK_SECONDS)
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
    files = DatasetFiles(origin, cache)
    rows, audio, text = _rows(origin, settings, cache, files)
    speaker = settings.speaker_column or next((name for name in SPEAKER_COLUMNS if name in rows.column_names), None)
    missing = 0
    place = folder / AUDIO / "train"
    place.mkdir(parents=True)
    # The table is written last: an archive without one is not whole.
    lines: list[tuple[str, str, str]] = []
    budget = Budget(origin.name, limits, 1, Meter(f"{origin.name}: recordings", None, say))
    for number, row in enumerate(rows):
        if number >= limits.max_files:
            raise _too_many(origin, limits)
        cell = row[audio]
        sound = sound_of(cell, files.read)
        file = f"clip_{number + 1:06d}.{extension_of(cell, sound)}"
        if sound is None:
            missing += 1
            file += f" (the dataset holds no {path_of(cell) or 'recording of this row'})"
        else:
            budget.spend(file, len(sound), len(sound))
            (place / file).write_bytes(sound)
        lines.append((file, text_of(row[text]), text_of(row.get(speaker)) if speaker else ""))
    if lines and missing == len(lines):
        raise UnexpectedLayout(
            origin.name,
            f"its column {audio!r} names recordings that are not among its files, the first {path_of(cell)!r}",
            "Put the recordings into the dataset, as bytes or as files",
        )
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
        "audio_column": audio,
        "text_column": text,
        "speaker_column": speaker or "none",
        "missing_recordings": missing,
        "megabytes": round(budget.bytes / 1e6, 1),
    }


def dataset_limits(limits: UnpackLimits) -> UnpackLimits:
    """The limits of an archive as they hold for a dataset, of which nothing is unpacked."""
    return UnpackLimits(limits.max_files, limits.max_bytes, limits.max_file_bytes, max_ratio=math.inf)


def _rows(origin: Origin, settings: DatasetSettings, cache: Path, files: DatasetFiles) -> tuple[Any, str, str]:
    """The split's rows with the columns that are needed, recordings not decoded; which hold recordings and texts."""
    if origin.local and (table := read_local_table(Path(origin.place), settings.split)) is not None:
        local = _LocalRows(table)
        audio, text = _columns(origin, settings, local.column_names)
        if not any(sound_of(row[audio], files.read) for row in table[:_LOOKED_AT]):
            raise _no_audio(origin, audio, path_of(table[0][audio]))
        return local, audio, text
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
        builder.AUDIO_EXTENSIONS = ()  # of webdataset: recordings stay bytes
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
    audio, text = _columns(origin, settings, names)
    keep = [name for name in names if name in {audio, text, settings.speaker_column, *SPEAKER_COLUMNS}]
    kind = (rows.features or {}).get(audio)
    rows = rows.select_columns(keep)
    if kind is None or isinstance(kind, Audio):
        try:
            return rows.cast_column(audio, Undecoded()), audio, text
        except (TypeError, ArrowException) as error:
            raise _no_audio(origin, audio) from error
    first = [row[audio] for row in islice(rows, _LOOKED_AT) if row[audio] is not None]
    if first and not any(_could_be_recording(cell, files) for cell in first):
        raise _no_audio(origin, audio, first[0])
    return rows, audio, text


def _could_be_recording(cell: Any, files: DatasetFiles) -> bool:
    if isinstance(cell, str):
        return files.name_of(cell) is not None
    return isinstance(cell, bytes) or (isinstance(cell, dict) and not {"bytes", "path", "array"}.isdisjoint(cell))


def _columns(origin: Origin, settings: DatasetSettings, names: Sequence[str]) -> tuple[str, str]:
    """The columns of recordings and of texts: as the settings name them, or else by the names that such columns go by.

    Raises `UnexpectedLayout` where there is no such column.
    """
    sound = next((name for name in (*AUDIO_COLUMNS, *sorted(AUDIO_EXTENSIONS)) if name in names), None)
    told = next((name for name in TEXT_COLUMNS if name in names), None)
    chosen = []
    for field, usual in (("audio_column", sound), ("text_column", told), ("speaker_column", None)):
        column = getattr(settings, field)
        if column is not None and column not in names and field not in settings.model_fields_set:
            column = usual or column
        if column is not None and column not in names:
            raise UnexpectedLayout(
                origin.name,
                f"has no column {column!r}; it has {', '.join(names)}",
                f"Set dataset.{field} to one of them",
            )
        chosen.append(column)
    return chosen[0], chosen[1]


def _no_audio(origin: Origin, column: str, first: Any = None) -> UnexpectedLayout:
    problem = f"its column {column!r} holds no recordings"
    if isinstance(first, str):
        problem += f": the dataset has no file {first!r}"
    elif isinstance(first, list | tuple):
        problem += " but numbers: samples need their sampling_rate beside the array"
    return UnexpectedLayout(origin.name, problem, "Set dataset.audio_column to the one with sound")


class _LocalRows:
    """Rows of a local table, as those of a dataset are read."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.column_names = list(dict.fromkeys(name for row in rows for name in row))
        self._rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict.fromkeys(self.column_names) | row for row in self._rows)


def _too_many(origin: Origin, limits: UnpackLimits) -> UnexpectedLayout:
    return UnexpectedLayout(
        origin.name, f"holds more than {limits.max_files} rows", "Raise max_files, or take a part of the split"
    )


def _digest_of_folder(folder: Path) -> str:
    return digest_of({path: sha256_file(folder / path) for path in files_below(folder)})
