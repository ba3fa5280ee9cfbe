"""The launcher as a command, with the real pipeline and the real service."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests

from deploy.addresses import Addresses
from deploy.client import Service
from deploy.health import silent_servers
from deploy.parts import ROOT
from deploy.stack import GRACE_SECONDS
from speech.bundle_file import export_bundle
from speech.home import Home
from tests.bundles import write_tiny_bundle
from tests.deploy.conftest import accepts, assert_nothing_left
from tests.recordings import encoded, hum

pytestmark = pytest.mark.timeout(600)
STOP_SECONDS = 10
Environment = Callable[..., dict[str, str]]


def launch(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.launcher", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until_ready(launcher: subprocess.Popen[str]) -> str:
    """Read what the launcher prints until it says that everything is up."""
    lines = []
    for line in launcher.stdout or ():
        lines.append(line)
        if line.startswith("ready"):
            return "".join(lines)
    pytest.fail("the launcher ended:\n" + "".join(lines))


def next_lines(launcher: subprocess.Popen[str], count: int) -> str:
    return "".join(launcher.stdout.readline() for _ in range(count)) if launcher.stdout else ""


def test_serve_publishes_a_bundles_file_answers_and_stops(
    data_home: Home, addresses: Addresses, environment: Environment, tmp_path: Path
) -> None:
    export_bundle(write_tiny_bundle(Home(tmp_path / "elsewhere"), "tiny-1"), tmp_path / "tiny.zip")
    launcher = launch("serve", str(tmp_path / "tiny.zip"), environment=environment(data_home, addresses))
    wait_until_ready(launcher)
    Service(addresses.service.url).wait_for("tiny-1", seconds=120)
    assert not accepts(addresses.dagster)
    assert not accepts(addresses.web)
    began = time.monotonic()
    launcher.send_signal(signal.SIGTERM)
    rest, _ = launcher.communicate(timeout=STOP_SECONDS)
    assert launcher.returncode == 0
    assert "is killed" not in rest, f"the service did not end by itself within {GRACE_SECONDS} s"
    assert time.monotonic() - began < STOP_SECONDS
    assert_nothing_left(data_home, addresses)


def test_serve_alone_needs_neither_dagster_nor_whisper_and_leaves_the_bundles_folder_alone(
    data_home: Home, addresses: Addresses, environment: Environment, tmp_path: Path
) -> None:
    mounted, packages = tmp_path / "mounted", tmp_path / "packages"
    mounted.mkdir()
    packages.mkdir()
    export_bundle(write_tiny_bundle(Home(tmp_path / "elsewhere"), "tiny-1"), mounted / "tiny.zip")
    (mounted / "tiny.zip").chmod(0o444)
    mounted.chmod(0o555)
    absent = ("dagster", "dagster_webserver", "pipeline", "whisper", "faster_whisper", "ctranslate2")
    # None in sys.modules makes an import fail, in this process and, by the path, in every child.
    (packages / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({absent!r}))")
    more = {"PYTHONPATH": str(packages), "VNYATNO_WEIGHTS": str(tmp_path / "no-weights")}
    launcher = launch("serve", str(mounted / "tiny.zip"), environment=environment(data_home, addresses, **more))
    try:
        wait_until_ready(launcher)
        Service(addresses.service.url).wait_for("tiny-1", seconds=120)
        url, files = f"{addresses.service.url}/api/predict", {"file": ("a.wav", encoded(hum(1.5)), "audio/wav")}
        answer = requests.post(url, files=files, timeout=120)
        assert (answer.status_code, answer.json()["bundle"]) == (200, "tiny-1")
        words = requests.post(url, files=files, data={"words": "true"}, timeout=120)
        assert (words.status_code, words.json()["code"]) == (501, "no_whisper")
    finally:
        launcher.send_signal(signal.SIGTERM)
        launcher.communicate(timeout=STOP_SECONDS)
    assert launcher.returncode == 0
    assert [path.name for path in mounted.iterdir()] == ["tiny.zip"]
    assert_nothing_left(data_home, addresses)


def test_up_starts_everything_and_ends_it_when_a_child_dies(
    data_home: Home, addresses: Addresses, environment: Environment
) -> None:
    launcher = launch("up", environment=environment(data_home, addresses))
    printed = wait_until_ready(launcher)
    assert "dagster  |" in printed
    assert accepts(addresses.dagster)
    assert accepts(addresses.service)
    assert requests.get(f"{addresses.web.url}/account/register", timeout=10).status_code == 200
    assert silent_servers(data_home) == []
    assert f"the web      {addresses.web.url}" in next_lines(launcher, 3)
    (daemon,) = [one for one in psutil.Process(launcher.pid).children() if "dagster._daemon" in one.cmdline()]
    daemon.kill()
    rest, _ = launcher.communicate(timeout=STOP_SECONDS + 5)
    assert launcher.returncode == 1
    assert "daemon was killed by signal 9" in rest
    assert_nothing_left(data_home, addresses)


def test_a_bundle_that_is_not_there_is_an_error_and_nothing_starts(
    data_home: Home, addresses: Addresses, environment: Environment
) -> None:
    launcher = launch("serve", "nowhere.zip", environment=environment(data_home, addresses))
    printed, _ = launcher.communicate(timeout=120)
    assert launcher.returncode == 1
    assert "nowhere.zip" in printed
    assert "Traceback" not in printed
    assert_nothing_left(data_home, addresses)


def test_a_port_that_is_no_port_is_an_error(data_home: Home, addresses: Addresses, environment: Environment) -> None:
    launcher = launch("up", environment=environment(data_home, addresses, VNYATNO_SERVICE_PORT="many"))
    printed, _ = launcher.communicate(timeout=120)
    assert launcher.returncode == 1
    assert "error: VNYATNO_SERVICE_PORT='many'" in printed
