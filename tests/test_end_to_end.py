"""The whole way with the real processes: archive, Whisper, training through Dagster's queue, hot-load, diagnosis."""

from __future__ import annotations

import copy
import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from deploy.demo.dagster_runs import Dagster, DagsterError
from deploy.demo.service_client import Service
from tests.bundles import ENCODER
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("archive", "clips", "transcripts", "markers", "encoder", "heads", "calibration", "evaluation", "bundle")
SPEAKERS = 6  # of the sample archive's, so that Whisper has half a minute's work and not ten
STOP_SECONDS = 10.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
]  # minutes are enough; a machine shared with others may take three times as long


@dataclass
class Running:
    """The launcher and its servers."""

    process: subprocess.Popen[bytes]
    dagster: Dagster
    service: Service
    service_url: str
    ports: tuple[int, int]

    def follow(self, run_id: str, look: Callable[[str], None] = lambda status: None) -> str:
        """The id of the run that succeeded: this one, or the one that retried it."""
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            run = self.dagster.run(run_id)
            look(run.status)
            if run.status == "SUCCESS":
                return run_id
            if run.retried_as:
                run_id = run.retried_as
            elif run.finished and not run.will_retry:
                raise AssertionError(self.dagster.failure(run_id))
            time.sleep(0.5)
        raise AssertionError(f"run {run_id} did not end in time")


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return
        time.sleep(0.5)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


@pytest.fixture(scope="module")
def few_speakers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the sample archive: one clip of each class of some speakers."""
    path = tmp_path_factory.mktemp("archives") / "few.zip"
    with zipfile.ZipFile(ROOT / "samples" / "mini.zip") as whole, zipfile.ZipFile(path, "w") as few:
        rows = list(csv.DictReader(io.StringIO(whole.read("data_train.csv").decode("utf-8-sig"))))
        names = {Path(name).name: name for name in whole.namelist()}
        chosen: dict[tuple[str, str], dict[str, str]] = {}
        for row in rows:
            if row["label"]:
                chosen.setdefault((row["speaker"], row["label"]), row)
        speakers = sorted({speaker for speaker, _ in chosen})[:SPEAKERS]
        kept = [row for (speaker, _), row in chosen.items() if speaker in speakers]
        table = io.StringIO()
        writer = csv.DictWriter(table, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)
        few.writestr("data_train.csv", table.getvalue())
        for row in kept:
            name = names[Path(row["file"]).name]
            few.writestr(name, whole.read(name))
    return path


@pytest.fixture(scope="module")
def running(few_speakers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    ports = (free_port(), free_port())
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {
        "VNYATNO_HOME": str(home),
        "VNYATNO_DAGSTER_PORT": str(ports[0]),
        "VNYATNO_SERVICE_PORT": str(ports[1]),
        "VNYATNO_WEB_PORT": str(free_port()),
        "VNYATNO_ARCHIVE_ROOTS": str(few_speakers.parent),
        "HF_HUB_OFFLINE": "1",
    }
    process = subprocess.Popen([sys.executable, "-m", "deploy.run.launcher", "up"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{ports[1]}"
    made = Running(process, Dagster(f"http://127.0.0.1:{ports[0]}", home / "dagster"), Service(url), url, ports)

    def up() -> bool:
        assert process.poll() is None, "the launcher ended"
        try:
            return requests.get(f"{url}/livez", timeout=2).ok and requests.get(made.dagster.url, timeout=2).ok
        except requests.RequestException:
            return False

    try:
        wait_for(up, "Dagster and the service")
        yield made
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def run_config(archive: Path, **changes: dict[str, Any]) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text(encoding="utf-8"))
    ops = copy.deepcopy(config["ops"])
    ops["archive"]["config"] = {"sources": [str(archive)]}
    ops["clips"]["config"]["min_clips_per_class"] = 1
    del ops["encoder"]["config"]["name"]
    ops["encoder"]["config"] |= {"architecture": ENCODER | {"mask_time_prob": 0.0}, "epochs": 1}
    ops["heads"]["config"] |= {"epochs": 1, "width": 16}
    ops["bundle"]["config"] |= {"min_macro_f1": 0.0, "allow_zero_class": True, "max_regression": 1.0}
    for stage, values in changes.items():
        ops[stage]["config"] |= values
    return {"ops": ops}


def as_the_known_client_does(url: str, clip: Path) -> tuple[list[float], dict[str, Any]]:
    """What the service's known client does, word for word."""
    base, name = url, clip.name
    with clip.open("rb") as f:
        response = requests.post(
            base + "/api/predict", files={"file": (name, f, "audio/mpeg")}, data={"device": "cpu"}, timeout=60
        )
    none, r, g, stutter = response.json()["predict_proba"]
    return [none, r, g, stutter], response.json()


def test_the_whole_way(running: Running, few_speakers: Path) -> None:
    before = requests.get(f"{running.service_url}/api/model", timeout=10)
    assert before.status_code == 503
    assert "train" in before.text

    run_id = running.dagster.launch("train", run_config(few_speakers))
    statuses: set[str] = set()
    assert running.follow(run_id, statuses.add) == run_id
    assert statuses & {"QUEUED", "STARTING", "STARTED", "NOT_STARTED"}
    made = running.dagster.metadata(run_id)
    assert set(made) == set(STAGES)
    lines = [event.message for event in running.dagster.events(run_id)[0] if event.message]
    assert any("transcripts: " in line and " left" in line for line in lines)
    texts = json.loads((Path(str(made["transcripts"]["folder"])) / "transcripts.json").read_text(encoding="utf-8"))
    assert sum(bool(value["words"]) for value in texts.values()) > 0.9 * len(texts)

    bundle = str(made["bundle"]["bundle_id"])
    running.service.wait_for(bundle, 90)
    probabilities, answer = as_the_known_client_does(running.service_url, Path(str(made["evaluation"]["example_clip"])))
    assert answer["bundle"] == bundle
    assert answer["classes"] == ["none", "burr", "fricative_g", "stutter"]
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-6)

    # One setting changed: its stage and what follows are made again, and the service changes over.
    changed = running.dagster.launch("train", run_config(few_speakers, heads={"width": 24}))
    running.follow(changed)
    again = running.dagster.metadata(changed)
    assert [stage for stage in STAGES if again[stage]["reused"] in (True, "True")] == list(STAGES[:5])
    second = str(again["bundle"]["bundle_id"])
    assert second != bundle
    running.service.wait_for(second, 90)

    # A run that cannot work fails before anything is fetched and leaves the service as it was.
    wrong = running.dagster.launch("train", run_config(few_speakers, bundle={"min_macro_f1": 7.0}))
    with pytest.raises(AssertionError, match=r"ops\.bundle\.config\.min_macro_f1"):
        running.follow(wrong)
    with pytest.raises(DagsterError):
        running.dagster.launch("train", run_config(few_speakers, heads={"no_such_setting": 1}))
    assert (
        as_the_known_client_does(running.service_url, Path(str(made["evaluation"]["example_clip"])))[1]["bundle"]
        == second
    )


@pytest.mark.system
def test_a_killed_run_is_taken_up_again(running: Running, few_speakers: Path) -> None:
    config = run_config(few_speakers, encoder={"seed": 5, "epochs": 3})
    run_id = running.dagster.launch("train", config)
    killed: list[int] = []

    def kill_while_training(_: str) -> None:
        if killed or not any(event.stage == "encoder" for event in running.dagster.events(run_id)[0]):
            return
        everything = psutil.Process(running.process.pid).children(recursive=True)
        (code_server,) = [process for process in everything if "grpc" in process.cmdline()]
        for process in code_server.children(recursive=True):  # the run and its steps
            process.kill()
            killed.append(process.pid)

    finished = running.follow(run_id, kill_while_training)
    assert killed
    assert finished != run_id
    bundle = str(running.dagster.metadata(finished)["bundle"]["bundle_id"])
    running.service.wait_for(bundle, 90)


def test_everything_ends_within_ten_seconds_and_leaves_nothing(running: Running) -> None:
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert len(children) >= 4
    began = time.monotonic()
    running.process.terminate()
    running.process.wait(STOP_SECONDS + 20)
    assert time.monotonic() - began <= STOP_SECONDS
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    for port in running.ports:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0
