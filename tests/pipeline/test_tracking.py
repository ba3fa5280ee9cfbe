"""Tracking: off, offline for real, online against a local server, and against one that fails in every way."""

from __future__ import annotations

import base64
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.tracking import Tracker, Tracking, TrackingSettings, comet, start
from tests.pipeline.comet_server import CometServer

KEY = "SecretKey0123456789abcdef"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MATRIX = [[3, 1], [0, 4]]
SERVER_SECONDS = 4.0
"""Less than usual, so that tests with hanging servers end soon."""


@dataclass
class Story:
    """One tracked stage, told to the end."""

    folder: Path
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    log: list[str] = field(default_factory=list)
    result: str | None = None
    seconds: float = 0.0

    def begin(self, mode: str, stage: str = "heads") -> Tracker:
        return start(TrackingSettings(mode=Tracking(mode)), self.run_id, stage, self.folder, self.log.append)

    def end(self, tracker: Tracker) -> None:
        began = time.monotonic()
        self.result = tracker.finish()
        self.seconds = time.monotonic() - began

    def whole(self, mode: str, stage: str = "heads") -> None:
        with self.begin(mode, stage) as tracker:
            record(tracker)
            self.end(tracker)


def record(tracker: Tracker) -> None:
    tracker.parameters({"learning_rate": 0.001, "encoder": {"name": "tiny", "init_from": None}})
    for step in range(3):
        tracker.metrics({"loss": 1.0 / (step + 1), "macro_f1": 0.5}, step)
    tracker.confusion(MATRIX, ["none", "картавость"])
    tracker.picture("curve", PNG)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No COMET_* variable and no configuration file of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("COMET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COMET_CONFIG", str(tmp_path / "no.comet.config"))
    monkeypatch.setattr(comet, "SERVER_SECONDS", SERVER_SECONDS)
    return monkeypatch


@pytest.fixture
def server() -> Iterator[CometServer]:
    server = CometServer()
    yield server
    server.close()


def go_online(patch: pytest.MonkeyPatch, address: str) -> None:
    patch.setenv("COMET_API_KEY", KEY)
    patch.setenv("COMET_URL_OVERRIDE", address)


def check_archive(path: str | None, folder: Path, run_id: str) -> None:
    """It is in its place and holds everything that `record` recorded, and nothing that was not."""
    assert path is not None
    assert Path(path).parent == folder / "heads"
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("experiment.json"))
        messages = [json.loads(line) for line in archive.read("messages.json").splitlines()]
        uploads = {
            message["payload"]["upload_type"]: archive.read(message["payload"]["file_path"])
            for message in messages
            if message["type"] == "file_upload"
        }
    assert about["offline_id"] == uuid.UUID(run_id).hex
    assert about["project_name"] == "vnyatno"
    assert {message["type"] for message in messages} == {"log_other", "parameter_msg", "metric_msg", "file_upload"}
    parameters = [m["payload"].get("param") or m["payload"]["params"] for m in messages if m["type"] == "parameter_msg"]
    named = {p["paramName"]: p["paramValue"] for p in parameters}
    assert named["heads.learning_rate"] == 0.001
    assert named["heads.encoder.name"] == "tiny"
    metrics = [message["payload"]["metric"] for message in messages if message["type"] == "metric_msg"]
    loss = {m["step"]: m["metricValue"] for m in metrics if m["metricName"] == "heads/loss"}
    assert loss == {0: 1.0, 1: 0.5, 2: pytest.approx(1 / 3)}
    confusion = json.loads(uploads["confusion-matrix"])
    assert (confusion["matrix"], confusion["labels"]) == (MATRIX, ["none", "картавость"])
    assert PNG in uploads["visualization"]


def test_off_does_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path / "tracking")
    story.whole("off")
    assert story.result is None
    assert story.log == []
    assert not story.folder.exists()


def test_forked_children_of_the_stage_do_not_delay_its_end(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    story = Story(tmp_path)
    tracker = story.begin("offline")
    loader = multiprocessing.get_context("fork").Process(target=time.sleep, args=(120,), daemon=True)
    loader.start()
    record(tracker)
    story.end(tracker)
    loader.kill()
    check_archive(story.result, tmp_path, story.run_id)


def test_settings_hold_no_key() -> None:
    with pytest.raises(ValidationError, match="api_key"):
        TrackingSettings(api_key=KEY)  # type: ignore[call-arg]
    assert TrackingSettings().mode is Tracking.disabled


@pytest.mark.parametrize("earlier", ["off", False])
def test_the_earlier_word_for_disabled_is_understood(earlier: object) -> None:
    assert TrackingSettings.model_validate({"mode": earlier}).mode is Tracking.disabled
    assert TrackingSettings.model_validate({"mode": earlier}).model_dump(mode="json")["mode"] == "disabled"
    for wrong in (True, 0, "of", None):
        with pytest.raises(ValidationError, match="'disabled', 'online' or 'offline'"):
            TrackingSettings.model_validate({"mode": wrong})


def test_offline_writes_a_whole_archive_and_leaves_this_process_alone(
    alone: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded, hook, threads = "comet_ml" in sys.modules, sys.excepthook, threading.active_count()
    story = Story(tmp_path)
    story.whole("offline")
    check_archive(story.result, tmp_path, story.run_id)
    assert [str(path) for path in (tmp_path / "heads").iterdir()] == [story.result]
    assert len(story.log) == 1
    assert f"comet upload {story.result}" in story.log[0]
    assert ("comet_ml" in sys.modules, sys.excepthook, threading.active_count()) == (loaded, hook, threads)
    assert capfd.readouterr() == ("", "")


def test_online_without_key_goes_offline_and_says_so(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.whole("online")
    check_archive(story.result, tmp_path, story.run_id)
    assert "no API key" in story.log[0]
    assert "COMET_API_KEY" in story.log[0]


def test_online_stages_share_one_experiment(
    alone: pytest.MonkeyPatch, server: CometServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    go_online(alone, server.address)
    story = Story(tmp_path)
    story.whole("online", "heads")
    link = f"{server.address}team/vnyatno/{uuid.UUID(story.run_id).hex}"
    assert (story.result, story.log) == (link, [f"Comet: {link}"])
    story.whole("online", "evaluation")
    assert (story.result, story.log[1:]) == (link, [f"Comet: {link}"])

    assert {body["experimentKey"] for body in server.told("logger/add/run")} == {uuid.UUID(story.run_id).hex}
    assert len(server.told("logger/get/run")) == 1
    assert {body["apiKey"] for body in server.told("logger/add/run")} == {KEY}
    parameters = {p["parameterName"]: p["parameterValue"] for p in server.values("parameter")}
    assert parameters["heads.learning_rate"] == parameters["evaluation.learning_rate"] == 0.001
    loss = {m["step"]: m["metricValue"] for m in server.values("metric") if m["metricName"] == "heads/loss"}
    assert loss == {0: 1.0, 1: 0.5, 2: pytest.approx(1 / 3)}
    assert b'"matrix":[[3,1],[0,4]]' in server.files["heads-confusion-matrix.json"].replace(b" ", b"")
    assert PNG in server.files["evaluation/curve"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    """What came of stages tracked on servers that fail at the start or in the middle. Run at the same time, since most
    of it is waiting."""
    folder = tmp_path_factory.mktemp("failures")
    servers = {name: CometServer(name) for name in ("500", "key", "hang")} | {
        f"{name} later": CometServer() for name in ("500", "hang", "gone")
    }

    def tell(name: str, patch: pytest.MonkeyPatch) -> tuple[Story, Tracker]:
        go_online(patch, servers[name].address if name in servers else "http://127.0.0.1:9/clientlib/")
        story = Story(folder / name)
        tracker = story.begin("online")
        tracker.metrics({"begun": 1.0}, 0)
        return story, tracker

    def conclude(name: str, story: Story, tracker: Tracker) -> None:
        assert isinstance(tracker, comet.CometTracker)
        tracker._listen(comet.IMPORT_SECONDS, until_ready=True)
        if name.endswith("later"):
            servers[name].wait_for_metric()
            servers[name].failure = name.split()[0]
            if name.startswith("gone"):
                servers[name].close()
        record(tracker)
        story.end(tracker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMET_CONFIG", str(folder / "no.comet.config"))
        patch.setattr(comet, "SERVER_SECONDS", SERVER_SECONDS)
        stories = {name: tell(name, patch) for name in [*servers, "refused"]}
        with ThreadPoolExecutor(len(stories)) as pool:
            for done in [pool.submit(conclude, name, *story) for name, story in stories.items()]:
                done.result()
    for server in servers.values():
        if not server.closing.is_set():
            server.close()
    return {name: story for name, (story, _) in stories.items()}


@pytest.mark.parametrize("name", ["500", "key", "hang", "refused", "500 later", "hang later", "gone later"])
def test_failing_server_costs_seconds_and_no_data(failures: dict[str, Story], name: str) -> None:
    story = failures[name]
    check_archive(story.result, story.folder, story.run_id)
    assert story.seconds < comet.FINISH_SECONDS
    assert len(story.log) >= 2
    assert KEY not in "".join(story.log)


def test_killed_process_is_reported_and_the_journal_kept(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    story = Story(tmp_path)
    tracker = story.begin("offline")
    assert isinstance(tracker, comet.CometTracker)
    tracker._process.kill()
    tracker._process.wait()
    record(tracker)
    story.end(tracker)
    assert story.result is None
    (kept,) = (tmp_path / "heads").iterdir()
    assert str(kept) in story.log[-1]
    assert len((kept / "journal.jsonl").read_text().splitlines()) == 6


def test_folder_that_cannot_be_written_turns_tracking_off(tmp_path: Path) -> None:
    (tmp_path / "tracking").write_text("a file where a folder should be")
    story = Story(tmp_path / "tracking")
    story.whole("offline")
    assert story.result is None
    assert len(story.log) == 1
    assert "not tracked" in story.log[0]


def test_stage_killed_in_the_middle_leaves_an_archive_and_no_process(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stage = (
        "import os, pathlib, sys\n"
        "from pipeline.tracking import TrackingSettings, start\n"
        "tracker = start(TrackingSettings(mode='offline'), sys.argv[1], 'heads', pathlib.Path(sys.argv[2]), print)\n"
        "tracker.metrics({'loss': 1.0}, 0)\n"
        "print(tracker._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", stage, str(uuid.uuid4()), str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -9, killed.stderr
    deadline = time.monotonic() + 60
    while Path(f"/proc/{int(killed.stdout)}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{int(killed.stdout)}").exists()
    assert len(list((tmp_path / "heads").glob("*.zip"))) == 1
