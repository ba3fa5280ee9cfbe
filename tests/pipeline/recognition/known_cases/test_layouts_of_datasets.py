"""Datasets as people store them: recordings by name, as bytes, as samples; Common Voice, NeMo, webdataset."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import soundfile

from pipeline.archive.budget import UnpackLimits
from pipeline.recognition.datasets import dataset_limits, identify, write_archive
from pipeline.recognition.settings import DatasetSettings
from speech.archives.errors import UnexpectedLayout
from tests.pipeline.recognition.corpora import RATE, wav
from tests.workbooks import workbook

COUNT = 3
TEXTS = [f"text {number}" for number in range(COUNT)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of a dataset."""
    (tmp_path / "spoken").mkdir()
    return tmp_path / "spoken"


@pytest.fixture
def taken(tmp_path: Path, place: Path) -> Callable[..., tuple[list[dict[str, str]], list[bytes | None]]]:
    """The rows of the table that the dataset becomes, and their recordings."""

    def take(**settings: Any) -> tuple[list[dict[str, str]], list[bytes | None]]:
        wanted = DatasetSettings(name=str(place), **settings)
        out = tmp_path / "out"
        out.mkdir()
        limits = dataset_limits(UnpackLimits())
        write_archive(identify(wanted, (tmp_path,)), wanted, out, tmp_path / "cache", limits, lambda line: None)
        with (out / "data_train.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        paths = [out / "data_mp3" / "train" / row["file"] for row in rows]
        return rows, [path.read_bytes() if path.is_file() else None for path in paths]

    return take


Take = Callable[..., tuple[list[dict[str, str]], list[bytes | None]]]


def recordings(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(COUNT):
        (folder / f"{number}.wav").write_bytes(wav(number))


def sheet(place: Path, cells: list[Any], column: str = "audio") -> None:
    rows = [{column: cell, "text": text} for cell, text in zip(cells, TEXTS, strict=True)]
    parquet.write_table(pa.Table.from_pylist(rows), place / "train.parquet")


def right(found: tuple[list[dict[str, str]], list[bytes | None]]) -> None:
    rows, sounds = found
    assert [row["text"] for row in rows] == TEXTS
    assert sounds == [wav(number) for number in range(COUNT)]


@pytest.mark.parametrize("before", ["", "wavs/", "/content/drive/wavs/", "C:\\Users\\anna\\wavs\\"])
@pytest.mark.parametrize("kind", ["string", "struct"])
def test_recordings_by_name(place: Path, taken: Take, before: str, kind: str) -> None:
    recordings(place / "wavs")
    names = [f"{before}{number}.wav" for number in range(COUNT)]
    sheet(place, names if kind == "string" else [{"bytes": None, "path": name} for name in names])
    right(taken())


@pytest.mark.parametrize("streaming", [False, True])
def test_raw_bytes(place: Path, taken: Take, streaming: bool) -> None:
    sheet(place, [wav(number) for number in range(COUNT)])
    right(taken(streaming=streaming))


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_samples_with_their_rate(place: Path, taken: Take, kind: type) -> None:
    sounds = [soundfile.read(io.BytesIO(wav(number)), dtype=np.dtype(kind).name)[0] for number in range(COUNT)]
    sheet(place, [{"array": sound.tolist(), "sampling_rate": RATE, "path": None} for sound in sounds])
    _, found = taken()
    for sound, kept in zip(sounds, found, strict=True):
        assert kept is not None
        read, rate = soundfile.read(io.BytesIO(kept), dtype=np.dtype(kind).name)
        assert rate == RATE
        assert np.array_equal(read, sound)


@pytest.mark.parametrize("name", ["train.xlsx", "train.csv"])
def test_a_table_as_a_workbook(place: Path, taken: Take, name: str) -> None:
    recordings(place / "clips")
    rows = [(f"{number}.wav", text) for number, text in enumerate(TEXTS)]
    (place / name).write_bytes(workbook([("path", "sentence"), *rows]))
    right(taken())


def test_samples_without_a_rate_are_named(place: Path, taken: Take) -> None:
    sheet(place, [[0.0, 0.1, -0.1]] * COUNT)
    with pytest.raises(UnexpectedLayout, match=r"numbers: samples need their sampling_rate"):
        taken()


def test_names_of_files_that_the_dataset_lacks_are_named(place: Path, taken: Take) -> None:
    sheet(place, [f"/home/anna/{number}.wav" for number in range(COUNT)])
    with pytest.raises(
        UnexpectedLayout, match=r"'audio' holds no recordings: the dataset has no file '/home/anna/0\.wav'"
    ):
        taken()


def test_null_bytes_with_names_of_files_that_the_dataset_lacks_are_named(place: Path, taken: Take) -> None:
    sheet(place, [{"bytes": None, "path": f"/home/anna/{number}.wav"} for number in range(COUNT)])
    with pytest.raises(UnexpectedLayout, match=r"not among its files.*/home/anna/"):
        taken()


def test_one_that_is_missing_is_named_at_its_row(place: Path, taken: Take) -> None:
    sheet(
        place, [{"bytes": wav(0), "path": "0.wav"}, {"bytes": None, "path": "x/1.wav"}, {"bytes": wav(2), "path": None}]
    )
    rows, sounds = taken()
    assert [sound is None for sound in sounds] == [False, True, False]
    assert "the dataset holds no x/1.wav" in rows[1]["file"]


def test_common_voice(place: Path, taken: Take) -> None:
    recordings(place / "cv-corpus" / "ru" / "clips")
    lines = ["client_id\tpath\tsentence\tup_votes\tage\tgender"]
    lines += [f"abc{number}\t{number}.wav\t{text}\t2\t\t" for number, text in enumerate(TEXTS)]
    (place / "cv-corpus" / "ru" / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (place / "cv-corpus" / "ru" / "test.tsv").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    found = taken()
    right(found)
    assert [row["speaker"] for row in found[0]] == ["abc0", "abc1", "abc2"]


@pytest.mark.parametrize("name", ["train_manifest.json", "manifest.train.jsonl", "train.json"])
def test_nemos_manifest(place: Path, taken: Take, name: str) -> None:
    recordings(place / "audio")
    lines = [
        json.dumps({"audio_filepath": f"/data/nemo/audio/{number}.wav", "duration": 0.8, "text": text})
        for number, text in enumerate(TEXTS)
    ]
    (place / name).write_text("\n".join(lines) + "\n")
    right(taken())


@pytest.mark.parametrize("text", ["txt", "json"])
@pytest.mark.parametrize("streaming", [False, True])
def test_webdataset(place: Path, taken: Take, text: str, streaming: bool) -> None:
    with tarfile.open(place / "train-0.tar", "w") as tar:
        for number, said in enumerate(TEXTS):
            content = said if text == "txt" else json.dumps({"text": said, "id": number})
            for extension, data in (("wav", wav(number)), (text, content.encode())):
                member = tarfile.TarInfo(f"{number:04}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    right(taken(streaming=streaming))
