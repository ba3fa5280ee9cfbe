"""Batches over HTTP: taken in, watched, fetched, cancelled and deleted; and who may."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.security.keys import make_key
from api.settings import ServiceSettings
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import ended, started
from tests.api.event_loop import on_event_loop
from tests.bundles import write_tiny_bundle
from tests.recordings import babble, encoded

STRANGER = ("203.0.113.9", 50_000)
HERE = ("127.0.0.1", 50_000)
LOCAL = "http://127.0.0.1"
FOREST = (Path(__file__).parents[2] / "speech" / "sounds" / "forest.ogg").read_bytes()
CALL = encoded(babble(60, 4.0, seed=1), "FLAC")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    home = Home(tmp_path_factory.mktemp("home"))
    write_tiny_bundle(home, "tiny-1", seed=1)
    publish(home, "tiny-1")
    roots = tmp_path_factory.mktemp("roots")
    (roots / "march").mkdir()
    (roots / "march" / "a.flac").write_bytes(CALL)
    settings = ServiceSettings(
        decoders=1, threads=1, batch_roots=(roots,), batch_free_bytes=0, batches_per_key=8, batch_bytes=3_000_000,
        batch_files=20,
    )  # fmt: skip
    app = started(home, settings)
    yield app
    ended(app)


@pytest.fixture
def here(service: FastAPI) -> TestClient:
    return TestClient(service, client=HERE, base_url=LOCAL)


@pytest.fixture(autouse=True)
def clean(service: FastAPI, here: TestClient) -> Iterator[None]:
    yield
    for batch in here.get("/api/batches?limit=100").json()["batches"]:
        assert here.delete(f"/api/batches/{batch['id']}").json() == {"deleted": batch["id"]}
    folder = service.state.engine.home.batches
    assert [path.name for path in folder.iterdir() if path.is_dir() and path.name != "holders"] == []


def archive(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, data in entries.items():
            zipped.writestr(name, data)
    return buffer.getvalue()


def send(client: TestClient, data: bytes, name: str = "calls.zip", **more: Any) -> Any:
    return client.post("/api/batches", files={"file": (name, data)}, **more)


def done(client: TestClient, batch: str, **more: Any) -> Any:
    deadline = time.monotonic() + 120
    while (shown := client.get(f"/api/batches/{batch}", **more).json())["state"] not in ("done", "cancelled"):
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
    return shown


def test_an_archive_is_judged_and_its_results_come_in_three_forms(here: TestClient) -> None:
    answer = send(here, archive(**{"=HYPERLINK(1).flac": CALL, "notes.txt": b"text", "empty.wav": b""}))
    assert answer.status_code == 202
    batch = answer.json()["id"]
    assert answer.headers["location"] == f"/api/batches/{batch}"
    shown = done(here, batch)
    assert (shown["progress"], shown["name"]) == (1.0, "calls.zip")
    assert shown["files"] == {"total": 3, "waiting": 0, "running": 0, "done": 1, "failed": 2, "cancelled": 0}
    assert {(each["file"], each["code"]) for each in shown["failures"]} == {
        ("notes.txt", "not_audio"), ("empty.wav", "empty"),
    }  # fmt: skip
    url = f"/api/batches/{batch}/results"
    first, *_ = [json.loads(line) for line in here.get(url).text.splitlines()]
    assert (first["file"], first["bundle"], len(first["verdicts"])) == ("=HYPERLINK(1).flac", "tiny-1", 1)
    assert 0 < first["verdicts"][0]["speech_share"] <= 1
    assert all(window["start"] < window["end"] and window["transcript"] is None for window in first["windows"])
    rows = list(csv.DictReader(io.StringIO(here.get(f"{url}?format=csv").content.decode("utf-8-sig"))))
    assert [row["state"] for row in rows] == ["done", "failed", "failed"]
    assert rows[0]["file"] == "'=HYPERLINK(1).flac"
    windows = here.get(f"{url}?format=csv&part=windows").text.splitlines()
    assert len(windows) == 1 + len(first["windows"])
    with zipfile.ZipFile(io.BytesIO(here.get(f"{url}?format=xlsx").content)) as book:
        sheets = [book.read(name).decode() for name in book.namelist() if "worksheets/sheet" in name]
    assert len(sheets) == 2
    assert not any("<f>" in sheet for sheet in sheets)
    assert "&apos;=HYPERLINK" in sheets[0] or "'=HYPERLINK" in sheets[0]
    listed = here.get("/api/batches").json()
    assert listed["usage"]["bytes"] == 0
    assert 0 < listed["longest_delay_seconds"] < 10


def test_the_words_of_a_call_are_kept_where_that_is_asked_for(
    here: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("VNYATNO_WEIGHTS", str(tmp_path))
        refused = here.post("/api/batches", files={"file": ("a.ogg", FOREST)}, data={"transcript": "true"})
        assert (refused.status_code, refused.json()["code"]) == (501, "no_whisper")
        assert here.get("/api/batches").json()["total"] == 0
    batch = here.post("/api/batches", files={"file": ("a.ogg", FOREST)}, data={"transcript": "true"}).json()
    assert batch["transcript"] is True
    assert done(here, batch["id"])["files"]["done"] == 1
    url = f"/api/batches/{batch['id']}/results"
    (record,) = [json.loads(line) for line in here.get(url).text.splitlines()]
    words = [word for window in record["windows"] for word in window["transcript"]]
    assert {"густой", "лес"} <= {word["text"].lower() for word in words}
    (row,) = csv.DictReader(io.StringIO(here.get(f"{url}?format=csv").content.decode("utf-8-sig")))
    assert row["text"] == " ".join(word["text"] for word in words)


def test_several_files_and_a_folder_in_place_make_a_batch_too(here: TestClient, service: FastAPI) -> None:
    files = [("file", (name, CALL)) for name in ("a.flac", "b.flac", "a.flac")]
    several = here.post("/api/batches", files=files, data={"sides": "true"}).json()
    root = service.state.engine.desk.settings.batch_roots[0]
    folder = here.post("/api/batches", files={"folder": (None, str(root / "march"))}).json()
    assert folder["name"] == "march"
    assert done(here, folder["id"])["files"]["done"] == 1
    assert (root / "march" / "a.flac").read_bytes() == CALL
    shown = done(here, several["id"])
    assert (shown["sides"], shown["files"]["done"]) == (True, 2)
    assert [failure["code"] for failure in shown["failures"]] == ["twice"]


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({"file": ("a.zip", archive(a=bytes(3000))[:2000])}, 400, "truncated"),
        ({"file": ("a.zip", archive())}, 400, "empty_batch"),
        ({"file": ("calls.7z", b"7z\xbc\xaf\x27\x1c" + bytes(100))}, 400, "unsupported_archive"),
        ({"file": ("calls.tar.gz", gzip.compress(CALL))}, 400, "unsupported_archive"),
        ({"file": ("a.zip", bytes(4_000_000))}, 413, "too_large"),
        ({"file": (None, "http://127.0.0.1/")}, 400, "not_a_file"),
        ({"folder": (None, "/etc")}, 422, "bad_folder"),
        ({"folder": (None, "../../etc")}, 422, "bad_folder"),
        ({"sides": (None, "true")}, 400, "no_file"),
        ({"file": ("a.wav", CALL), "sides": (None, "perhaps")}, 400, "bad_request"),
        ({"file": ("a.wav", CALL), "folder": (None, "/tmp")}, 400, "no_file"),
        ([("file", ("a.wav", b"x"))] * 21, 413, "too_many_files"),
        ({"file": ("a.wav", CALL), "transcripts": (None, "true")}, 400, "unknown_field"),
        ([("file", ("a.wav", CALL)), ("sides", (None, "true")), ("sides", (None, "false"))], 400, "repeated_field"),
    ],
)
def test_what_is_no_batch_is_refused_and_leaves_nothing(here: TestClient, files: Any, status: int, code: str) -> None:
    answer = here.post("/api/batches", files=files)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert here.get("/api/batches").json()["total"] == 0


def test_recordings_are_taken_however_they_are_named(here: TestClient) -> None:
    parts = json.loads((Path(__file__).parents[1] / "intake" / "known_cases" / "file_parts.json").read_text())
    heads = [parts["extended name alone"], parts["no name"], parts["empty name"]]
    body = b"".join(f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode() + CALL + b"\r\n" for head in heads)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    batch = here.post("/api/batches", content=body + b"--x--\r\n", headers=headers).json()["id"]
    assert done(here, batch)["files"]["done"] == 3
    names = [json.loads(line)["file"] for line in here.get(f"/api/batches/{batch}/results").text.splitlines()]
    assert names == ["запись.wav", "recording 2", "recording 3"]


@pytest.mark.parametrize("data", [CALL, b"PK\x03\x04"])
def test_neither_the_store_nor_the_disk_is_used_on_the_event_loop(
    here: TestClient, service: FastAPI, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    used: list[tuple[str, bool]] = []

    def watched(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def watch(*given: Any, **more: Any) -> Any:
            used.append((name, on_event_loop()))
            return real(*given, **more)

        monkeypatch.setattr(owner, name, watch)

    for name in ("read", "transaction", "require_quota"):
        watched(service.state.engine.desk.store, name)
    watched(shutil, "rmtree")
    watched(Path, "mkdir")
    status = here.post("/api/batches", files={"file": ("a", data)}).status_code
    assert status == (202 if data == CALL else 400)
    assert {name for name, _ in used} >= {"require_quota", "mkdir", "read" if status == 202 else "rmtree"}
    assert not [name for name, on_loop in used if on_loop]


def test_a_form_that_breaks_off_leaves_nothing(here: TestClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = here.post("/api/batches", content=head, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "upload_broken_off")
    assert here.post("/api/batches", content=b"{}").status_code == 400


def test_a_disk_that_is_full_half_way_is_said_and_leaves_nothing(
    here: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("api.intake.limits.DISCARD_SECONDS", 0.1)  # that the rest of an upload is awaited for
    with monkeypatch.context() as patch:
        patch.setattr("api.intake.uploads._Reader._part_data", fails)
        answer = send(here, bytes(2_900_000))
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    free = iter([10**9, *[-1] * 9])  # enough when the upload begins, too little when the first of it has come
    usage = type("Usage", (), {"free": property(lambda _: next(free))})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage())
    answer = send(here, bytes(2_900_000))
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")


def test_cancelling_keeps_what_is_done_and_can_be_repeated(here: TestClient, service: FastAPI) -> None:
    batch = send(here, archive(**{f"{number}.flac": CALL for number in range(8)})).json()["id"]
    for _ in range(2):
        shown = here.post(f"/api/batches/{batch}/cancel").json()
        assert shown["state"] == "cancelled"
    assert shown["files"]["cancelled"] + shown["files"]["done"] == 8
    assert shown["files"]["cancelled"] >= 4
    assert len(here.get(f"/api/batches/{batch}/results").text.splitlines()) == 8
    folder: Path = service.state.engine.home.batches / batch
    assert not (folder / "archive.zip").exists()


def test_off_this_machine_a_key_is_needed_and_nobody_sees_another_s(here: TestClient, service: FastAPI) -> None:
    stranger = TestClient(service, client=STRANGER)
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("GET", "/x/results")):
        refused = stranger.request(method, f"/api/batches{path}")
        assert (refused.status_code, refused.json()["code"]) == (401, "key_missing")
    home = service.state.engine.home
    anna, boris = ({"X-API-Key": make_key(home, name)} for name in ("anna", "boris"))
    batch = send(stranger, CALL, "a.flac", headers=anna).json()["id"]
    assert stranger.get("/api/batches", headers=anna).json()["total"] == 1
    assert here.get("/api/batches").json()["total"] == 0
    for client, headers in ((stranger, boris), (here, {}), (here, boris)):
        for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("DELETE", "")):
            answer = client.request(method, f"/api/batches/{batch}{path}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "no_batch")
    assert done(stranger, batch, headers=anna)["files"]["done"] == 1
    assert stranger.delete(f"/api/batches/{batch}", headers=anna).status_code == 200


def test_a_key_has_only_so_many_batches(here: TestClient) -> None:
    for _ in range(8):
        assert send(here, b"text", "a.txt").status_code == 202
    answer = send(here, b"text", "a.txt")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_batches")
