"""The real service with two workers: hot-loading under clients, broken bundles, bad requests on the wire, its end."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import torch

from speech.home import Home
from speech.serving.pointer import pointer_file, publish
from tests.bundles import tiny_model, write_tiny_bundle
from tests.ports import free_port
from tests.recordings import encoded, hum

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
CLIENTS = 8
SWAPS = 10
SPEECH = encoded(hum(2.0), "MP3")
PATIENCE = 120.0  # seconds; a busy machine starts slowly, an idle one in five


@dataclass
class Service:
    """A running service and its data folder."""

    process: subprocess.Popen[bytes]
    home: Home
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.base + path, timeout=30)

    def predict(self, data: bytes = SPEECH) -> requests.Response:
        return requests.post(self.base + "/api/predict", files={"file": ("a.mp3", data, "audio/mpeg")}, timeout=60)

    def figure(self, name: str) -> float:
        """A figure of /metrics, summed over the workers; 0 where it was never counted."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def workers_serving(self, bundle: str) -> float:
        lines = self.get("/metrics").text.splitlines()
        wanted = f'vnyatno_bundle_workers{{bundle="{bundle}"}} '
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    def publish(self, bundle: str, workers: int = 2) -> None:
        """Publish, and wait until every worker serves the bundle."""
        publish(self.home, bundle)
        until(lambda: self.workers_serving(bundle) == workers, f"{bundle} in service")

    def point(self, text: str) -> None:
        pointer_file(self.home).write_text(text)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.1)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@contextlib.contextmanager
def running(folder: Path, workers: int) -> Iterator[Service]:
    """The service as the launcher starts it, from another working folder."""
    port = free_port()
    environment = os.environ | {
        "VNYATNO_HOME": str(folder / "home"),
        "VNYATNO_SERVICE_PORT": str(port),
        "VNYATNO_WORKERS": str(workers),
        "VNYATNO_DECODERS": "1",
        "VNYATNO_MAX_UPLOAD_BYTES": "2000000",
        "VNYATNO_POLL_SECONDS": "0.2",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])),
    }
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        service = Service(process, Home(folder / "home"), port)
        family = []
        try:
            until(lambda: not is_free(port) or process.poll() is not None, "the port")
            assert process.poll() is None, (folder / "service.log").read_text()
            until(lambda: service.get("/livez").ok, "/livez")
            family = service.children()
            yield service
        finally:
            process.kill()
            process.wait()
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), workers=2) as service:
        for seed, name in enumerate(("tiny-1", "tiny-2")):
            write_tiny_bundle(service.home, name, seed=seed)
        yield service


def test_before_any_model_the_service_lives_but_is_not_ready(service: Service) -> None:
    assert service.get("/livez").status_code == 200
    assert service.get("/readyz").status_code == 503
    assert "train" in service.get("/readyz").text
    for response in (service.predict(), service.get("/api/model")):
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert "make demo" in response.json()["detail"]


def test_a_published_bundle_is_taken_up_by_every_worker(service: Service) -> None:
    service.publish("tiny-1")
    assert service.get("/readyz").status_code == 200
    for _ in range(8):
        assert service.predict().json()["bundle"] == "tiny-1"
        assert service.get("/api/model").json()["bundle"] == "tiny-1"


@pytest.mark.parametrize("data", [None, {"device": "cpu"}])
def test_the_known_client_works_unchanged(service: Service, data: dict[str, str] | None) -> None:
    base, name, f = service.base, "recording.mp3", io.BytesIO(SPEECH)
    response = requests.post(base + "/api/predict", files={"file": (name, f, "audio/mpeg")}, data=data)
    none, r, g, stutter = response.json()["predict_proba"]
    assert none + r + g + stutter == pytest.approx(1.0)


def test_publishing_under_clients_fails_no_request(service: Service) -> None:
    swaps_before = service.figure("vnyatno_bundle_swaps_total")
    end = threading.Event()
    answers: list[tuple[int, Any]] = []

    def ask() -> None:
        while not end.is_set():
            try:
                response = service.predict()
                answers.append((response.status_code, response.json().get("bundle")))
            except requests.RequestException as error:
                answers.append((0, repr(error)))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for turn in range(SWAPS):
            service.publish(("tiny-2", "tiny-1")[turn % 2])
        service.publish("tiny-2")
    finally:
        end.set()
        for client in clients:
            client.join()
    assert [answer for answer in answers if answer[0] != 200] == []
    assert {bundle for _, bundle in answers} == {"tiny-1", "tiny-2"}
    assert len(answers) >= 10 * CLIENTS
    assert service.figure("vnyatno_bundle_swaps_total") - swaps_before == 2 * (SWAPS + 1)
    assert {service.predict().json()["bundle"] for _ in range(20)} == {"tiny-2"}


def truncated(service: Service) -> None:
    os.truncate(write_tiny_bundle(service.home, "bad-truncated") / "model.safetensors", 5000)
    service.point("current: bad-truncated\n")


def checksum(service: Service) -> None:
    with (write_tiny_bundle(service.home, "bad-checksum") / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    service.point("current: bad-checksum\n")


def no_numbers(service: Service) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.marker_head.linear.weight[0, 0] = float("nan")
    write_tiny_bundle(service.home, "bad-numbers", model=model)
    service.point("current: bad-numbers\n")


def nowhere(service: Service) -> None:
    service.point("current: bad-nowhere\n")


def half_written(service: Service) -> None:
    service.point("current: [tin")


def test_what_is_broken_changes_nothing_even_for_a_worker_that_starts_anew(service: Service) -> None:
    service.publish("tiny-1")
    for spoil in (truncated, checksum, no_numbers, nowhere, half_written):
        refused = service.figure("vnyatno_bundles_refused_total")
        spoil(service)
        until(lambda before=refused: service.figure("vnyatno_bundles_refused_total") >= before + 2, spoil.__name__)
        assert service.get("/readyz").status_code == 200
        assert {service.predict().json()["bundle"] for _ in range(4)} == {"tiny-1"}
        health = service.get("/api/health").json()
        assert (health["status"], health["bundle"]) == ("degraded", "tiny-1")
        assert service.get("/api/model").json()["refused"]["reason"]
    # What serves is in memory; losing its files is no loss until the next start.
    os.truncate(service.home.bundles / "tiny-1" / "model.safetensors", 10)
    assert {service.predict().json()["bundle"] for _ in range(8)} == {"tiny-1"}
    shutil.rmtree(service.home.bundles / "tiny-1")
    write_tiny_bundle(service.home, "tiny-1")

    psutil.Process(service.process.pid).children()[0].kill()
    until(lambda: service.workers_serving("tiny-1") == 1, "the end of a worker")
    until(lambda: service.workers_serving("tiny-1") == 2, "a new worker")
    assert {service.predict().json()["bundle"] for _ in range(8)} == {"tiny-1"}
    service.publish("tiny-2")
    well = {"bundle": "tiny-2", "refused": None}
    assert service.get("/api/health").json() == {
        "status": "ok",
        **well,
        "recipes": {"defects": well, "asr": {"bundle": None, "refused": None}},
    }


def test_bad_requests_on_the_wire_are_answered_and_never_500(service: Service) -> None:
    large = bytes(5_000_000)
    url = service.base + "/api/predict"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    assert service.predict(large).status_code == 413
    chunks = (large[start : start + 65536] for start in range(0, len(large), 65536))
    response = requests.post(url, data=(part for part in (head, *chunks)), headers=headers, timeout=30)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert requests.post(url, timeout=30).status_code == 400
    assert requests.post(url, data={"file": "http://127.0.0.1/"}, timeout=30).status_code == 400
    assert service.predict(b"").status_code == 400
    assert service.predict(b"words, words").status_code == 415
    assert service.predict(encoded(hum(61), "FLAC")).json()["code"] == "too_long"
    assert service.predict(encoded(hum(2) * 0, "FLAC")).json()["code"] == "silent"
    request = f"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Type: {headers['content-type']}\r\n"
    for rest in ("Content-Length: 100000\r\n\r\n--x", "Transfer-Encoding: chunked\r\n\r\n5\r\n--x"):
        with socket.create_connection(("127.0.0.1", service.port)) as broken_off:
            broken_off.sendall((request + rest).encode())
    odd = service.get("/api/batches/a%0Ab")
    assert (odd.status_code, odd.headers["content-type"]) == (404, "application/problem+json")
    assert service.predict().status_code == 200
    assert not [line for line in service.get("/metrics").text.splitlines() if 'status="500"' in line]
    log = (service.home.root.parent / "service.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


def test_a_rollback_over_http_reaches_every_worker_and_a_second_one_returns(service: Service) -> None:
    service.publish("tiny-1")
    service.publish("tiny-2")
    url = service.base + "/api/model/rollback"
    for address in ("127.0.0.1", "203.0.113.7"):
        refused = requests.post(url, headers={"X-Forwarded-For": address}, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (401, "key_missing")
    for back, left in (("tiny-1", "tiny-2"), ("tiny-2", "tiny-1")):
        answer = requests.post(url, timeout=30)
        assert answer.status_code == 200
        assert (answer.json()["current"], answer.json()["previous"]) == (back, left)
        until(lambda back=back: service.workers_serving(back) == 2, f"{back} in service")
        assert {service.predict().json()["bundle"] for _ in range(6)} == {back}
        assert service.get("/api/model").json()["previous"] == left
        states = {one["id"]: one["state"] for one in service.get("/api/models").json()["bundles"]}
        assert (states[back], states[left]) == ("in_service", "previous")


def test_documentation_is_served_without_other_hosts(service: Service) -> None:
    assert "swagger-ui-bundle.js" in service.get("/api/docs/").text
    assert service.get("/api/docs/files/swagger-ui-bundle.js").status_code == 200
    assert "/api/predict" in service.get("/api/openapi.json").json()["paths"]
    assert "/api/predict" in service.get("/docs.json").json()["paths"]


def test_the_service_stays_small(service: Service) -> None:
    family = [psutil.Process(service.process.pid), *service.children()]
    assert sum(process.memory_full_info().pss for process in family) < 1.8e9  # with the CUDA build of torch 1.5
    assert family[0].memory_info().rss < 200e6  # the supervisor holds no torch


def test_sigterm_ends_everything_within_ten_seconds(service: Service) -> None:
    family = service.children()
    idle = requests.Session()
    idle.get(service.base + "/livez", timeout=30)
    trickle = socket.create_connection(("127.0.0.1", service.port))
    trickle.sendall(b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    start = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0
    assert time.monotonic() - start < 10
    left = psutil.wait_procs(family, timeout=1)[1]
    # One that has ended is listed until its new parent, the system's first process, has waited for it.
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
    assert is_free(service.port)
    trickle.close()
    assert "leaked" not in (service.home.root.parent / "service.log").read_text()


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, workers=1) as service:
        family = service.children()
        assert len(family) >= 2  # a worker and its decoder
        service.process.kill()
        service.process.wait()
        assert psutil.wait_procs(family, timeout=15)[1] == []
        assert is_free(service.port)
