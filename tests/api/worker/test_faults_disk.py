"""A full disk: the service goes on answering, and says what it cannot do; what was there stays whole."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import psutil
import pytest
import requests
from fastapi.testclient import TestClient
from prometheus_client.mmap_dict import MmapedDict
from starlette.formparsers import MultiPartParser

from api.observe.metric_files import MetricFile
from deploy.commands.publication import main as publication
from speech import files
from speech.home import Home
from speech.serving.pointer import PointerWriteError, pointer_file, publish
from tests.api.conftest import ended, started
from tests.api.test_service_process import SPEECH, Service, running, until
from tests.bundles import write_tiny_bundle
from tests.disks import fill, small_disk

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(*_: object) -> None:
    raise FULL


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def two_bundles(home: Home) -> None:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(home, name)
        publish(home, name)


def test_publishing_to_a_full_disk_says_so_and_changes_nothing(
    data_home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two_bundles(data_home)
    before = tree(data_home.serving)
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(PointerWriteError, match=r"defects\.yaml cannot be written \(No space left.*free disk space"):
        publish(data_home, "tiny-1")
    assert publication(["tiny-1"]) == 1
    assert "error: " + str(pointer_file(data_home)) in capsys.readouterr().err
    assert tree(data_home.serving) == before


def test_a_rollback_on_a_full_disk_is_503(data_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    two_bundles(data_home)
    app = started(data_home)
    with (
        TestClient(app, client=("127.0.0.1", 1), base_url="http://127.0.0.1", raise_server_exceptions=False) as client,
        monkeypatch.context() as patch,
    ):
        patch.setattr(files.os, "fsync", full)
        refused = client.post("/api/model/rollback")
        patch.undo()
        moved = client.post("/api/model/rollback")
    ended(app)
    assert (refused.status_code, refused.json()["code"]) == (503, "pointer_unwritable")
    assert "free disk space" in refused.json()["detail"]
    assert (moved.status_code, moved.json()["current"]) == (200, "tiny-1")


def test_an_upload_that_finds_no_room_is_503_and_small_ones_are_answered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 100_000)
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", full)
    large = client.post("/api/predict", files={"file": ("a.wav", bytes(200_000))})
    assert (large.status_code, large.json()["code"]) == (503, "no_room")
    assert client.post("/api/predict", files={"file": ("a.mp3", SPEECH)}).status_code == 200


def figures(file: MmapedDict) -> dict[str, float]:
    return {key: value for key, value, _ in file.read_all_values()}


def counted(file: MmapedDict, keys: int) -> dict[str, float]:
    for number in range(keys):
        key = f"key {number} " + "x" * 200
        file.read_value(key)
        file.write_value(key, float(number), 0.0)
    return {f"key {number} " + "x" * 200: float(number) for number in range(keys)}


def test_metrics_have_all_their_room_before_they_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    file = MetricFile(str(path))
    for keys in (1, 1_000):  # the second needs more than the file had at first
        expected = counted(file, keys)
        assert path.stat().st_blocks * 512 >= path.stat().st_size
        assert {key.strip(): value for key, value in figures(file).items()} == expected
        stored = {key.strip(): value for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path))}
        assert stored == expected
    file.close()


def test_metrics_are_counted_in_memory_where_the_disk_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full)
    file = MetricFile(str(tmp_path / "counter_1.db"))
    assert {key.strip(): value for key, value in figures(file).items()} == counted(file, 0)
    expected = counted(file, 1_000)
    assert {key.strip(): value for key, value in figures(file).items()} == expected
    assert list(tmp_path.iterdir()) == []
    assert "free disk space" in caplog.text
    file.close()


def test_metrics_go_on_in_memory_where_their_file_cannot_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = MetricFile(str(tmp_path / "counter_1.db"))
    counted(file, 10)
    monkeypatch.setattr(os, "posix_fallocate", full)
    expected = counted(file, 1_000)
    assert {key.strip(): value for key, value in figures(file).items()} == expected
    stored = [key for key, *_ in MmapedDict.read_all_values_from_file(str(tmp_path / "counter_1.db"))]
    assert 10 <= len(stored) < 1_000  # what was told before still is
    file.close()


@pytest.mark.system
def test_the_service_lives_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 12), running(tmp_path, workers=2) as service:
        for name in ("tiny-1", "tiny-2"):
            write_tiny_bundle(service.home, name)
        service.publish("tiny-1")
        fill(service.home.root / "ballast")
        before = tree(service.home.serving)
        assert answers(service) == {200}
        for path in ("/api/health", "/api/model", "/api/models", "/api/nothing", "/metrics"):  # each counted anew
            assert service.get(path).status_code in {200, 404}
        assert service.predict(b"no sound").status_code == 415
        with pytest.raises(PointerWriteError, match="free disk space"):
            publish(service.home, "tiny-2")
        with pytest.raises(OSError, match=r"No space left|os error 28"):
            write_tiny_bundle(service.home, "tiny-3")
        assert not (service.home.bundles / "tiny-3").exists()
        assert requests.post(service.base + "/api/model/rollback", timeout=30).status_code == 409
        assert tree(service.home.serving) == before
        worker = psutil.Process(service.process.pid).children()[0]
        worker.kill()
        until(lambda: len(psutil.Process(service.process.pid).children()) == 2 and not worker.is_running(), "a worker")
        until(lambda: log_of(service).count("tiny-1 is in service") >= 3, "its bundle")
        assert answers(service) == {200}
        (service.home.root / "ballast").unlink()
        publish(service.home, "tiny-2")
        until(lambda: {service.predict().json()["bundle"] for _ in range(8)} == {"tiny-2"}, "tiny-2 in service")


def answers(service: Service) -> set[int]:
    return {service.predict().status_code for _ in range(20)}


def log_of(service: Service) -> str:
    return (service.home.root.parent / "service.log").read_text()
