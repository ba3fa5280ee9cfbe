"""The real service under clients that hang up, and under many that send a byte now and then."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from api.intake.limits import SLOW_AFTER_SECONDS
from api.settings import PREFIX
from speech.serving.pointer import publish
from tests.api.test_service_process import SPEECH, Service, running, until
from tests.bundles import write_tiny_bundle

PLACES = 8  # predictions in progress at once
SLOW_UPLOADS, SLOW_HEADS, SILENT = 4 * PLACES, 100, 50
HANG_UPS = 60
HEAD = b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
BODY = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + SPEECH + b"\r\n--x--\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{PREFIX}MAX_REQUESTS", str(PLACES))
        patch.setenv(f"{PREFIX}HEAD_SECONDS", "300")  # so that none of the slow ones goes by itself
        patch.setenv(f"{PREFIX}UPLOAD_SECONDS", "300")
        with running(tmp_path_factory.mktemp("clients"), workers=1) as service:
            write_tiny_bundle(service.home, "tiny-1")
            publish(service.home, "tiny-1")
            until(lambda: service.get("/readyz").ok, "readiness")
            yield service


def log_of(service: Service) -> str:
    return (service.home.root.parent / "service.log").read_text()


def connected(service: Service, data: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    client.sendall(data)
    return client


def test_clients_that_hang_up_leave_nothing_behind(service: Service) -> None:
    assert service.predict().status_code == 200
    worker = psutil.Process(service.process.pid).children()[0]

    def held() -> int:
        """Files and connections of the worker, without the two pipes of each child: more decode on a busy machine.

        A child that has ended has none any more, though it is listed until it is waited for."""
        living = [child for child in worker.children() if child.status() != psutil.STATUS_ZOMBIE]
        return worker.num_fds() - 2 * len(living)

    before = held()
    rng = random.Random(0)
    for number in range(HANG_UPS):
        sent = len(REQUEST) if number % 4 == 0 else rng.randrange(len(REQUEST))
        with connected(service, REQUEST[:sent]) as client:
            if number % 3 == 0:  # with a reset, not in order
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    until(lambda: service.figure("vnyatno_predictions_in_progress") == 0, "the end of all predictions")
    until(lambda: held() <= before + 2, "the end of all connections")  # two are those of these questions
    assert service.predict().status_code == 200
    assert "Traceback" not in log_of(service)
    assert not [line for line in service.get("/metrics").text.splitlines() if 'status="5' in line]


def test_many_slow_clients_do_not_starve_quick_ones(service: Service) -> None:
    end = threading.Event()
    starts = [HEAD + b"Content-Length: 100000\r\n\r\n" + BODY[: len(BODY) // 2]] * SLOW_UPLOADS
    starts += [b"GET /api/health HTTP/1.1\r\nX: "] * SLOW_HEADS
    slow = [connected(service, start) for start in starts + [b""] * SILENT]
    trickle = threading.Thread(target=trickling, args=(slow[: SLOW_UPLOADS + SLOW_HEADS], end))
    trickle.start()
    try:
        end.wait(SLOW_AFTER_SECONDS + 0.5)
        with ThreadPoolExecutor(PLACES // 2) as quick:
            statuses = list(quick.map(lambda _: service.predict().status_code, range(40)))
        assert statuses == [200] * 40
        assert service.figure("vnyatno_predictions_in_progress") == 0  # it counts those that have come
    finally:
        end.set()
        trickle.join()
    told = [client for client in slow[:SLOW_UPLOADS] if received(client).startswith(b"HTTP/1.1 408")]
    assert told  # those that had to go for the quick ones
    for client in slow:
        client.close()
    until(lambda: 'status="503"' in service.get("/metrics").text, "the others, for whom there was no place")
    assert service.predict().status_code == 200
    assert "Traceback" not in log_of(service)


def trickling(clients: list[socket.socket], end: threading.Event) -> None:
    while not end.wait(0.2):
        for client in clients:
            with suppress(OSError):  # turned away
                client.send(b"a")


def received(client: socket.socket) -> bytes:
    client.setblocking(False)
    try:
        return client.recv(65_536)
    except OSError:
        return b""
