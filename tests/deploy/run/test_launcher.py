"""The launcher as a command, with the real pipeline and the real service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from deploy.addresses import Addresses
from deploy.demo.dagster_runs import Dagster, DagsterError
from deploy.demo.service_client import Service
from deploy.run.health import silent_servers
from deploy.run.parts import ROOT
from deploy.run.processes import marked
from deploy.run.stack import GRACE_SECONDS
from speech.bundles.transfer import export_bundle
from speech.home import Home
from speech.serving.pointer import publish
from tests.bundles import write_tiny_bundle
from tests.deploy.conftest import accepts, assert_nothing_left
from tests.recordings import encoded, hum

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
STOP_SECONDS = 10
Environment = Callable[..., dict[str, str]]


def launch(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.run.launcher", *arguments],
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


class Asked:
    """Asks servers again and again, within a `with`; `silent` are those that once gave no answer."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = list(urls)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.silent: set[str] = set()
        self.rounds = 0

    def __enter__(self) -> Asked:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._end.wait(0.2):
            for url in self._urls:
                try:
                    requests.get(url, timeout=20).raise_for_status()
                except requests.RequestException:
                    self.silent.add(url)
            self.rounds += 1


def process_of(home: Home, part: str) -> psutil.Process:
    """A part's own process, of which all others of the part descend."""
    return min(marked(home.root, part), key=lambda process: process.create_time())


def until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.mark.system
def test_up_goes_on_when_its_parts_are_killed_one_after_the_other(
    data_home: Home, addresses: Addresses, environment: Environment
) -> None:
    publish(data_home, write_tiny_bundle(data_home, "tiny-1").name)
    launcher = launch("up", environment=environment(data_home, addresses))
    printed = wait_until_ready(launcher)
    assert "dagster  |" in printed
    assert f"the web      {addresses.web.url}" in next_lines(launcher, 3)
    assert accepts(addresses.dagster)
    assert accepts(addresses.service)
    assert requests.get(f"{addresses.web.url}/account/register", timeout=10).status_code == 200
    assert silent_servers(data_home) == []
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(launcher.stdout or ()))
    reader.start()
    urls = json.loads((data_home.root / "launcher.json").read_text())["health"]
    dagster = Dagster(addresses.dagster.url, data_home.dagster)

    def told(text: str) -> bool:
        return any(text in line for line in lines)

    def killed(*parts: str) -> None:
        """Kill parts, and see that the others answer all the while and that these come back."""
        with Asked(url for name, url in urls.items() if name not in parts) as others:
            for part in parts:
                process_of(data_home, part).kill()
            for part in parts:
                until(lambda one=part: told(f"| {one} was killed by signal 9; it is started again in 1 s"), part)
                until(lambda one=part: told(f"| {one} is back"), part)
            until(lambda: silent_servers(data_home) == [], "health")
        assert others.silent == set()
        assert others.rounds

    def run_through() -> None:
        """Web server, queue, daemon and code server do their part; the web server may look for the code server yet."""
        launched: list[str] = []

        def launch_run() -> bool:
            with suppress(DagsterError):
                launched.append(dagster.launch("rollback", {}))
            return bool(launched)

        until(launch_run, "the code server in the web server's eyes", seconds=60)
        until(lambda: dagster.run(launched[0]).finished, "the end of a run")
        assert "the service stays as it is" in dagster.failure(launched[0])

    try:
        web_server = process_of(data_home, "dagster").pid
        killed("web", "daemon")
        assert requests.get(f"{addresses.web.url}/account/register", timeout=10).status_code == 200
        killed("service", "code")
        run_through()
        assert process_of(data_home, "dagster").pid == web_server
        Service(addresses.service.url).wait_for("tiny-1", seconds=120)
        killed("dagster")
        run_through()
        process_of(data_home, "web").kill()
        until(lambda: told("| web was killed by signal 9; it is started again in 2 s"), "the second death")
    finally:
        began = time.monotonic()
        launcher.send_signal(signal.SIGTERM)
        launcher.wait(STOP_SECONDS + 5)
        reader.join()
    assert time.monotonic() - began < STOP_SECONDS  # although a part waited for its restart
    assert launcher.returncode == 0
    assert_nothing_left(data_home, addresses)


def test_a_part_that_keeps_dying_ends_the_launcher(
    data_home: Home, addresses: Addresses, environment: Environment
) -> None:
    code = (
        "from deploy.run import launcher, restart_policy\n"
        "quick = restart_policy.RestartSchedule(restart_policy.RestartPolicy(first=0.1))\n"
        "raise SystemExit(launcher.main(['serve'], quick))"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(data_home, addresses),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until_ready(launcher)
    killed: set[int] = set()
    while len(killed) < 5:
        for process in marked(data_home.root, "service"):
            if process.ppid() == launcher.pid and process.pid not in killed:
                process.kill()
                killed.add(process.pid)
        time.sleep(0.05)
    rest, _ = launcher.communicate(timeout=STOP_SECONDS + 10)
    assert launcher.returncode == 1
    assert rest.count("service was killed by signal 9; it is started again in ") == 4
    assert "error: service was killed by signal 9; it died 5 times within 10 minutes, so everything is ended" in rest
    assert f"all of it: {data_home.root / 'logs' / 'service.log'}" in rest
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
