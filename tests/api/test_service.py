from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def test_the_supervisor_imports_neither_torch_nor_transformers_nor_prometheus() -> None:
    script = (
        "import json, sys, api.service; heavy = {'torch', 'transformers', 'prometheus_client', 'dagster', 'pipeline'};"
        "print(json.dumps([sorted(heavy & set(sys.modules)), api.service.Vnyatno.name, api.service.Vnyatno.config]))"
    )
    result = python("-c", script, VNYATNO_WORKERS="3", BENTOML_DO_NOT_TRACK="True")
    heavy, name, config = json.loads(result.stdout.splitlines()[-1])
    assert heavy == []
    assert name == "Vnyatno"
    assert config["workers"] == 3


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"VNYATNO_SERVICE_PORT": "http"}, "VNYATNO_SERVICE_PORT: 'http' is no port"),
        ({"VNYATNO_SERVICE_PORT": "70000"}, "'70000' is no port"),
        ({"VNYATNO_WORKERS": "none"}, "environment variable VNYATNO_WORKERS"),
        ({"VNYATNO_HOST": "192.0.2.1"}, "192.0.2.1:8000 cannot be used"),
        ({"VNYATNO_HOST": "no address"}, "no address:8000 cannot be used"),
        ({"VNYATNO_HOME": "/dev/null/home"}, "VNYATNO_HOME: /dev/null/home"),
    ],
)
def test_a_wrong_environment_is_said_before_anything_starts(environment: dict[str, str], message: str) -> None:
    result = python("-m", "api", **environment)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = python("-m", "api", VNYATNO_SERVICE_PORT=port, VNYATNO_HOME=str(tmp_path))
    assert result.returncode == 1
    assert f"127.0.0.1:{port} cannot be used" in result.stderr
    assert "VNYATNO_SERVICE_PORT" in result.stderr
