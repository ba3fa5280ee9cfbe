"""The real service in a place where it may write nothing: on the wire it keeps strangers' headers in bounds."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from api.security.keys import make_key
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.test_service_process import ROOT, SPEECH, Service, is_free, until
from tests.bundles import write_tiny_bundle
from tests.ports import free_port

NOBODY = 65_534
_PR_CAPBSET_DROP = 24
_OVERRIDES = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: what lets root write where it may not


def without_overrides() -> None:
    """Take from root, at the next exec, what spares it the permissions of files."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _OVERRIDES:
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "a capability cannot be dropped")


def unprivileged() -> dict[str, Any]:
    """How to start a process that permissions bind: as another user, and where root's own folder holds Python, as
    root without its exemptions; where the tests do not run as root, as they run."""
    if os.getuid() != 0:
        return {}
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    try:
        subprocess.run(
            [sys.executable, "-c", "import api, bentoml"], cwd=ROOT, check=True, capture_output=True, **other
        )
    except (OSError, subprocess.CalledProcessError):
        return {"preexec_fn": without_overrides}
    return other


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's own, into which no other user may go."""
    root = Path(tempfile.mkdtemp(prefix="vnyatno-test-"))
    yield root
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def service(folder: Path, keys: dict[str, str]) -> Iterator[Service]:
    """Its temporary folder alone can be written."""
    home, scratch = Home(folder / "home"), folder / "tmp"
    write_tiny_bundle(home, "tiny-1")
    publish(home, "tiny-1")
    keys["predict"] = make_key(home, "anna", per_minute=1_000)
    how = unprivileged()
    if "user" in how:
        os.chown(home.root / "keys.yaml", NOBODY, NOBODY)
    (folder / "nothing").mkdir()
    scratch.mkdir()
    scratch.chmod(0o777)
    for path in (folder, home.root, *home.root.rglob("*"), folder / "nothing"):
        if path.is_dir():
            path.chmod(0o555)
    port = free_port()
    environment = os.environ | {
        "HOME": str(folder / "nothing"),
        "VNYATNO_HOME": str(home.root),
        "VNYATNO_SERVICE_PORT": str(port),
        "VNYATNO_DECODERS": "1",
        "VNYATNO_OPEN_ON_LOCALHOST": "false",
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name in ("XDG_CACHE_HOME", "HF_HOME", "MPLCONFIGDIR", "BENTOML_HOME"):
        environment.pop(name, None)
    with (scratch / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=folder / "nothing",
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            **how,
        )
        service = Service(process, home, port)
        try:
            until(lambda: not is_free(port) or process.poll() is not None, "the port")
            assert process.poll() is None, (scratch / "service.log").read_text()
            until(lambda: service.get("/livez").ok, "/livez")
            yield service
        finally:
            process.terminate()
            process.wait(30)


def predict(service: Service, data: bytes = SPEECH, **headers: str) -> requests.Response:
    files = {"file": ("a.mp3", data, "audio/mpeg")}
    return requests.post(service.base + "/api/predict", files=files, headers=headers, timeout=60)


def test_serving_writes_nothing_but_its_temporary_folder(service: Service, folder: Path, keys: dict[str, str]) -> None:
    before = tree(folder / "home")
    bearer = {"Authorization": f"Bearer {keys['predict']}"}
    # Folders that root's own exemptions would let it write would make this test say nothing.
    probe = "import os, sys; sys.exit(any(os.access(path, os.W_OK) for path in sys.argv[1:]))"
    closed = [str(path) for path in (folder / "home", folder / "nothing", folder / "home" / "serving")]
    assert subprocess.run([sys.executable, "-c", probe, *closed], **unprivileged()).returncode == 0
    assert service.get("/readyz").status_code == 200
    assert predict(service, **bearer).json()["bundle"] == "tiny-1"
    large = predict(service, SPEECH + bytes(3_000_000), **bearer)  # more than a form keeps in memory
    assert large.status_code == 200
    assert "python_info" in service.get("/metrics").text or "vnyatno_requests" in service.get("/metrics").text
    assert tree(folder / "home") == before
    assert list((folder / "nothing").iterdir()) == []
    log = (folder / "tmp" / "service.log").read_text()
    assert "defects.last_good cannot be written" in log
    assert "Traceback" not in log, log


def test_keys_hold_on_the_wire_and_no_header_makes_a_client_this_machine(
    service: Service, keys: dict[str, str]
) -> None:
    assert predict(service).json()["code"] == "key_missing"
    assert predict(service, **{"X-API-Key": keys["predict"] + "x"}).json()["code"] == "key_unknown"
    answer = predict(service, **{"X-API-Key": keys["predict"]})
    assert answer.status_code == 200
    assert answer.headers["ratelimit-limit"] == "1000"
    assert service.get("/metrics").status_code == 200
    for value in ("127.0.0.1", "203.0.113.9"):  # the server itself would believe either
        response = requests.get(service.base + "/metrics", headers={"X-Forwarded-For": value}, timeout=30)
        assert (response.status_code, response.json()["code"]) == (401, "key_missing")


def test_a_stranger_reads_the_refusal_of_a_large_upload(service: Service) -> None:
    response = predict(service, bytes(20_000_000))
    assert (response.status_code, response.json()["code"]) == (401, "key_missing")


def test_a_large_field_is_answered_on_the_wire(service: Service, keys: dict[str, str]) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
        for _ in range(100):
            yield b"a" * 1_000_000

    headers = {"content-type": "multipart/form-data; boundary=x", "X-API-Key": keys["predict"]}
    response = requests.post(service.base + "/api/predict", data=body(), headers=headers, timeout=60)
    assert (response.status_code, response.json()["code"]) == (400, "field_too_large")


@pytest.mark.parametrize("letters", [1, 900])
def test_headers_without_end_are_cut_off(service: Service, letters: int) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\n")
        try:
            while sent < 20_000_000:
                block = b"".join(b"X-%d: %s\r\n" % (sent + number, b"a" * letters) for number in range(100))
                client.sendall(block)
                sent += len(block)
        except ConnectionError:
            pass
    assert sent < 20_000_000
    assert service.get("/api/health").status_code == 200


def test_the_list_of_keys_is_for_its_owner_alone(service: Service) -> None:
    assert stat.S_IMODE((service.home.root / "keys.yaml").stat().st_mode) == 0o600


def test_the_server_neither_believes_forwarded_addresses_nor_keeps_headers_without_end() -> None:
    script = (
        "from api import settings; from api.server import wire; wire.harden(settings.ServiceSettings());"
        "import uvicorn; config = uvicorn.Config(print); config.load();"
        "print(config.http_protocol_class.__name__, repr(config.forwarded_allow_ips))"
    )
    environment = os.environ | {"FORWARDED_ALLOW_IPS": "*"}
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["Connection", "''"]


def test_an_answered_request_leaves_no_timer() -> None:
    """BentoML's own time-out leaves one, which holds the request in memory until it is over."""
    script = """
import asyncio
from bentoml._internal.server.base_app import BaseAppFactory
from api import settings
from api.server import wire
wire.harden(settings.ServiceSettings())

class Factory(BaseAppFactory):
    name = "x"
    async def index_page(self, request): ...

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def main():
    for middleware in reversed(Factory(timeout=3600).middlewares):
        app_ = middleware.cls(app, *middleware.args, **middleware.kwargs)
    async def send(message): ...
    await app_({"type": "http", "path": "/"}, None, send)
    print(len(asyncio.get_running_loop()._scheduled))

asyncio.run(main())
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.split() == ["0"], run.stderr
