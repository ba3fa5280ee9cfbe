"""The real service, killed in the middle of a batch: what comes out is what comes out of one that nobody disturbs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests

from calls.claims import MOST_DEATHS
from calls.store import FILE
from speech.serving.pointer import publish
from tests.api.test_service_process import Service, running, until
from tests.bundles import write_tiny_bundle
from tests.recordings import RATE, babble, encoded

CALLS = 8


def archive(calls: int = CALLS) -> bytes:
    """Calls of half a minute, and a note among them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for number in range(calls):
            zipped.writestr(f"calls/{number:02}.flac", encoded(babble(100, 4.0, seed=number, pause=1.0), "FLAC"))
        zipped.writestr("notes.txt", "call them back")
    return buffer.getvalue()


def send(service: Service, data: bytes) -> str:
    answer = requests.post(f"{service.base}/api/batches", files={"file": ("calls.zip", data)}, timeout=60)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def shown(service: Service, batch: str) -> dict[str, Any]:
    found: dict[str, Any] = service.get(f"/api/batches/{batch}").json()
    return found


def results(service: Service, batch: str) -> list[str]:
    until(lambda: shown(service, batch)["state"] == "done", "the end of the batch")
    return service.get(f"/api/batches/{batch}/results").text.splitlines()


def killed(service: Service) -> None:
    """Supervisor and workers at once, as when the machine goes down."""
    for process in [psutil.Process(service.process.pid), *service.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a decoder that has just done its call
            process.send_signal(signal.SIGKILL)
    service.process.wait()


def kept_windows(service: Service) -> int:
    """Windows in the store, without the service's help."""
    with sqlite3.connect(service.home.batches / FILE) as rows:
        return int(rows.execute("SELECT count(*) FROM windows").fetchone()[0])


@pytest.mark.system
def test_a_batch_survives_kills_and_comes_out_as_if_undisturbed(tmp_path: Path) -> None:
    data = archive()
    with running(tmp_path, workers=1) as service:
        write_tiny_bundle(service.home, "tiny-1", seed=1)
        publish(service.home, "tiny-1")
        until(lambda: service.get("/readyz").ok, "readiness")
        batch = send(service, data)
        until(lambda: shown(service, batch)["files"]["done"] >= 2, "two calls")
        killed(service)
        kept = kept_windows(service)
    with running(tmp_path, workers=2) as service:
        until(lambda: kept_windows(service) > kept + 3, "more windows")
        killed(service)
        assert kept_windows(service) > kept  # nothing was thrown away
    with running(tmp_path, workers=1) as service:
        disturbed = results(service, batch)
        undisturbed = results(service, send(service, data))
    assert disturbed == undisturbed
    assert len(disturbed) == CALLS + 1
    records = [json.loads(line) for line in disturbed]
    assert {record["bundle"] for record in records if record["state"] == "done"} == {"tiny-1"}
    assert [record["code"] for record in records if record["state"] == "failed"] == ["not_audio"]
    assert all(len(record["windows"]) >= 3 for record in records if record["state"] == "done")


@pytest.mark.system
def test_a_call_that_ends_its_worker_each_time_is_given_up_and_its_neighbours_are_judged(tmp_path: Path) -> None:
    silence = np.zeros(40 * 60 * RATE, np.float32)  # no window comes of it for a while
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("0.flac", encoded(np.concatenate([silence, babble(60, 4.0)]), "FLAC"))
        for number in range(1, 4):
            zipped.writestr(f"{number}.flac", encoded(babble(100, 4.0, seed=number, pause=1.0), "FLAC"))
    with running(tmp_path, workers=1) as service:
        write_tiny_bundle(service.home, "tiny-1", seed=1)
        publish(service.home, "tiny-1")
        until(lambda: service.get("/readyz").ok, "readiness")
        batch = send(service, buffer.getvalue())
        holders: set[str] = set()
        while len(holders) < MOST_DEATHS:
            until(lambda: (holder_of(service, batch, 0) or "") not in {"", *holders}, "a worker that judges the call")
            holders.add(holder_of(service, batch, 0) or "")
            (worker,) = psutil.Process(service.process.pid).children()
            worker.kill()
        records = [json.loads(line) for line in results(service, batch)]
    assert [record["state"] for record in records] == ["failed", "done", "done", "done"]
    assert records[0]["code"] == "given_up"


def holder_of(service: Service, batch: str, number: int) -> str | None:
    """Who judges a call, None while nobody does."""
    query = "SELECT holder FROM items WHERE batch = ? AND number = ?"
    with sqlite3.connect(service.home.batches / FILE) as rows:
        holder: str | None = rows.execute(query, (batch, number)).fetchone()[0]
    return holder


@pytest.mark.system
def test_a_swap_in_the_middle_leaves_each_call_to_one_bundle(tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as service:
        for seed, name in enumerate(("tiny-1", "tiny-2")):
            write_tiny_bundle(service.home, name, seed=seed)
        publish(service.home, "tiny-1")
        until(lambda: service.get("/readyz").ok, "readiness")
        batch = send(service, archive(calls=4 * CALLS))  # more than are done until the other bundle serves
        until(lambda: shown(service, batch)["files"]["done"] >= 2, "two calls")
        service.publish("tiny-2", workers=1)
        records = [json.loads(line) for line in results(service, batch)]
    bundles = [record["bundle"] for record in records if record["state"] == "done"]
    assert set(bundles) == {"tiny-1", "tiny-2"}
    assert os.listdir(service.home.batches / batch) == []  # recordings went with the end
