"""Hugging Face datasets as archives: real libraries on local folders, and on a stand-in of the hub."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.archive.budget import UnpackLimits
from pipeline.recognition.datasets import dataset_limits, identify, write_archive
from pipeline.recognition.settings import AsrArchiveSettings, DatasetSettings
from speech.archives.errors import (
    ArchiveError,
    DamagedArchive,
    ForbiddenSource,
    SourceNotFound,
    UnexpectedLayout,
    UnsafeArchive,
)
from tests.pipeline.recognition.corpora import table, wav
from tests.pipeline.recognition.hub import COMMIT, TOKEN, Hub, serve

FEATURES = {"audio": {"_type": "Audio", "sampling_rate": 16000}, "text": {"dtype": "string", "_type": "Value"}}
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An audiofolder: four recordings with texts and speakers."""
    place = tmp_path / "spoken" / "train"
    place.mkdir(parents=True)
    for number in range(4):
        (place / f"a{number}.wav").write_bytes(wav(number))
    rows = [(f"a{number}.wav", f'number "{number}", please', f"s{number % 2}") for number in range(4)]
    (place / "metadata.csv").write_text(table(rows, ("file_name", "text", "speaker")), encoding="utf-8")
    return tmp_path / "spoken"


def parquet_bytes(rows: list[dict[str, Any]], features: dict[str, Any] | None = None) -> bytes:
    """A Parquet file with recordings in it, as `datasets` uploads them; `features` are its own note of the types."""
    sheet = pa.Table.from_pylist(rows)
    if features is not None:
        sheet = sheet.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pa.BufferOutputStream()
    parquet.write_table(sheet, sink)
    return sink.getvalue().to_pybytes()


def rows_of(count: int) -> list[dict[str, Any]]:
    return [{"audio": {"bytes": wav(n), "path": f"{n}.wav"}, "text": f"text {n}"} for n in range(count)]


def take(tmp_path: Path, name: Path | str, **settings: Any) -> tuple[list[dict[str, str]], Path]:
    """The rows of the table that a dataset becomes, and its folder."""
    limits = settings.pop("limits", UnpackLimits())
    wanted = DatasetSettings(name=str(name), **settings)
    origin = identify(wanted, (tmp_path,))
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    out.mkdir()
    write_archive(origin, wanted, out, tmp_path / "cache", dataset_limits(limits), lambda line: None)
    with (out / "data_train.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), out


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_audio(folder: Path, tmp_path: Path, streaming: bool) -> None:
    rows, out = take(tmp_path, folder, streaming=streaming)
    assert [row["text"] for row in rows] == [f'number "{number}", please' for number in range(4)]
    assert [row["speaker"] for row in rows] == ["s0", "s1", "s0", "s1"]
    kept = [(out / "data_mp3" / "train" / row["file"]).read_bytes() for row in rows]
    assert kept == [wav(number) for number in range(4)]


@pytest.mark.parametrize("features", [None, FEATURES])
@pytest.mark.parametrize("streaming", [False, True])
def test_parquet_with_recordings_inside(features: dict[str, Any] | None, streaming: bool, tmp_path: Path) -> None:
    place = tmp_path / "sheets"
    place.mkdir()
    (place / "test-00000.parquet").write_bytes(parquet_bytes(rows_of(3), features))
    rows, out = take(tmp_path, place, split="test", streaming=streaming)
    assert [row["text"] for row in rows] == ["text 0", "text 1", "text 2"]
    assert [row["speaker"] for row in rows] == ["", "", ""]
    assert (out / "data_mp3" / "train" / rows[2]["file"]).read_bytes() == wav(2)


def test_no_row_reads_another_file_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(9))
    place = tmp_path / "sheets"
    place.mkdir()
    named = [str(secret), "../secret.wav", f"file://{secret}", "http://127.0.0.1:9/x.wav"]
    rows = [{"audio": {"bytes": None, "path": path}, "text": "x"} for path in named]
    (place / "train.parquet").write_bytes(parquet_bytes(rows_of(1) + rows))
    found, out = take(tmp_path, place)
    assert len(found) == 5
    assert [path.name for path in (out / "data_mp3" / "train").iterdir()] == ["clip_000001.wav"]


def test_empty_cells_stay_empty(tmp_path: Path) -> None:
    place = tmp_path / "sheets"
    place.mkdir()
    (place / "train.parquet").write_bytes(parquet_bytes([*rows_of(1), {"audio": None, "text": None}]))
    rows, _ = take(tmp_path, place)
    assert rows[1]["text"] == ""


@pytest.mark.parametrize(
    ("settings", "kind", "told"),
    [
        ({"split": "test"}, UnexpectedLayout, r"\['train'\]. Set dataset.configuration and dataset.split"),
        ({"configuration": "en"}, UnexpectedLayout, r"'en' not found. Available: \['default'\]"),
        (
            {"text_column": "sentence"},
            UnexpectedLayout,
            "'sentence'; it has audio, text, speaker. Set .*text_column",
        ),
        ({"speaker_column": "who"}, UnexpectedLayout, "no column 'who'; .* Set dataset.speaker_column"),
        ({"audio_column": "text"}, UnexpectedLayout, "'text' holds no recordings"),
        ({"limits": UnpackLimits(max_files=3)}, UnexpectedLayout, "more than 3 rows"),
        ({"limits": UnpackLimits(max_bytes=50_000)}, ArchiveError, "max_bytes"),
    ],
)
def test_what_cannot_be_had_is_named(
    settings: dict[str, Any], kind: type, told: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=told):
        take(tmp_path, folder, **settings)


def test_damaged_parquet(tmp_path: Path) -> None:
    place = tmp_path / "sheets"
    place.mkdir()
    (place / "train.parquet").write_bytes(parquet_bytes(rows_of(2))[:-100])
    with pytest.raises(DamagedArchive, match="Parquet"):
        take(tmp_path, place)


def test_programs_are_not_run(tmp_path: Path) -> None:
    place = tmp_path / "program"
    place.mkdir()
    (place / "program.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(UnsafeArchive, match="a program, which is not run"):
        take(tmp_path, place)
    assert not (tmp_path / "ran").exists()


def test_local_folders_lie_below_the_allowed_roots(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ForbiddenSource):
        identify(DatasetSettings(name=str(folder)), (tmp_path / "elsewhere",))
    with pytest.raises(ForbiddenSource):
        identify(DatasetSettings(name=f"{folder}/../../.."), (tmp_path,))
    with pytest.raises(SourceNotFound):
        identify(DatasetSettings(name=str(tmp_path / "nowhere")), (tmp_path,))
    with pytest.raises(SourceNotFound, match="no name of a dataset"):
        identify(DatasetSettings(name="a/b/c"), (tmp_path,))


def test_a_local_folder_is_known_by_its_content(folder: Path) -> None:
    settings = DatasetSettings(name=str(folder))
    before = identify(settings, (folder.parent,)).digest
    (folder / "train" / "a0.wav").touch()
    assert identify(settings, (folder.parent,)).digest == before
    (folder / "train" / "a0.wav").write_bytes(wav(50))
    assert identify(settings, (folder.parent,)).digest != before


def test_the_seeds_dataset_is_the_default() -> None:
    dataset = AsrArchiveSettings().dataset
    assert dataset is not None
    assert (dataset.name, dataset.configuration, dataset.split) == (
        "ekacare/eka-medical-asr-evaluation-dataset",
        "en",
        "test",
    )
    assert AsrArchiveSettings(sources=["a.zip"]).dataset is None
    with pytest.raises(ValueError, match="dataset, sources: give one of them"):
        AsrArchiveSettings(sources=["a.zip"], dataset=dataset)


CHILD = """
import json, os, sys
from pathlib import Path
from pipeline.archive.budget import UnpackLimits
from pipeline.recognition.settings import DatasetSettings
from pipeline.recognition.datasets import dataset_limits, identify, write_archive
from speech.archives.errors import ArchiveError

place, results = Path(sys.argv[1]), []
for number, (settings, token) in enumerate(json.loads(sys.argv[2])):
    os.environ["HF_TOKEN"] = token
    settings, out = DatasetSettings(**settings), place / str(number)
    out.mkdir()
    try:
        origin = identify(settings, ())
        write_archive(origin, settings, out, place / "cache", dataset_limits(UnpackLimits()), lambda line: None)
        sounds = sorted(path.name for path in (out / "data_mp3" / "train").iterdir())
        results.append([origin.digest, (out / "data_train.csv").read_text(), sounds])
    except ArchiveError as error:
        results.append(str(error))
print(json.dumps(results))
"""


def ask(tmp_path: Path, url: str, cases: list[tuple[dict[str, Any], str]]) -> list[Any]:
    """What a fresh process gets for each case (settings, token); the library reads the hub's address as it starts."""
    environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_hub(folder: Path, tmp_path: Path) -> None:
    sheet = {"data/test-00000.parquet": parquet_bytes(rows_of(2), FEATURES)}
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    hub = Hub({"acme/sheets": sheet, "acme/spoken": files, "acme/gated": sheet}, gated={"acme/gated"})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "acme/sheets", "split": "test"}, ""),
        ({"name": "acme/sheets", "split": "test", "streaming": True}, ""),
        ({"name": "acme/spoken"}, ""),
        ({"name": "acme/spoken", "streaming": True}, ""),
        ({"name": "acme/gated", "split": "test"}, ""),
        ({"name": "acme/gated", "split": "test", "revision": COMMIT}, ""),
        ({"name": "acme/gated", "split": "test"}, "hf_of_another"),
        ({"name": "acme/nothing"}, ""),
        ({"name": "acme/gated", "split": "test"}, TOKEN),
    ]
    with serve(hub) as url:
        found = ask(tmp_path, url, cases)
    for digest, text, sounds in (found[0], found[1], found[8]):
        assert digest == COMMIT
        assert text == "file,text,speaker\nclip_000001.wav,text 0,\nclip_000002.wav,text 1,\n"
        assert sounds == ["clip_000001.wav", "clip_000002.wav"]
    for _, text, sounds in found[2:4]:
        assert text.count("please") == 4
        assert len(sounds) == 4
    for told in found[4:7]:
        assert "https://huggingface.co/datasets/acme/gated" in told
        assert "put it into HF_TOKEN" in told
    assert "HF_TOKEN is not set" in found[4]
    assert "HF_TOKEN is not set" in found[5]
    assert "the token in HF_TOKEN has no access to it" in found[6]
    assert "no such name on the hub, or it is private" in found[7]
    assert "https://huggingface.co/datasets/acme/nothing" in found[7]


def test_a_hub_that_is_not_there(tmp_path: Path) -> None:
    (told,) = ask(tmp_path, "http://127.0.0.1:9", [({"name": "acme/sheets"}, "")])
    assert "the hub cannot be reached" in told
