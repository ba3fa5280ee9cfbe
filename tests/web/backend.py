"""The real service with the model of `make demo`, which may be killed and started again at the same address."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from tests.ports import free_port
from tests.web.conftest import ROOT


def trained(folder: Path) -> Path:
    """A data folder with the demonstration's model in service: VNYATNO_DEMO_HOME's, or else trained now, in minutes."""
    given = os.environ.get("VNYATNO_DEMO_HOME")
    home = folder / "home"
    if given:
        for part in ("bundles", "serving"):
            shutil.copytree(Path(given) / part, home / part)
        return home
    ports = {name: str(free_port()) for name in ("VNYATNO_DAGSTER_PORT", "VNYATNO_SERVICE_PORT")}
    environment = os.environ | ports | {"VNYATNO_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", "deploy.demo", "--keep", "0"], cwd=ROOT, env=environment, check=True)
    return home


class Backend:
    """`python -m api` on a port of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until its model answers."""
        environment = os.environ | {
            "VNYATNO_HOME": str(self._home),
            "VNYATNO_SERVICE_PORT": str(self._port),
            "VNYATNO_WORKERS": "1",
            "VNYATNO_DECODERS": "1",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen([sys.executable, "-m", "api"], cwd=ROOT, env=environment)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    self._process = process
                    return
            time.sleep(0.3)
        process.kill()
        raise AssertionError(f"the service did not start ({process.poll()})")

    def kill(self) -> None:
        """End it without a word, as a crash does."""
        if self._process is None:
            return
        parent = psutil.Process(self._process.pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 20)
        self._process = None
