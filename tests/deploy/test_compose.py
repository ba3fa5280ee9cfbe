"""compose.yaml says what the Dockerfile says, and what starts from it is one service with or without a GPU."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from deploy.run.parts import ROOT
from deploy.run.stack import GRACE_SECONDS

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instruction(pattern: str) -> re.Match[str]:
    found = re.search(pattern, DOCKERFILE, flags=re.MULTILINE)
    assert found is not None, pattern
    return found


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_a_service_agrees_with_the_dockerfile(name: str) -> None:
    service = SERVICES[name]
    exposed = instruction(r"^EXPOSE (.+)$")[1].split()
    assert sorted(service["ports"]) == sorted(f"{port}:{port}" for port in exposed)
    (volume,) = service["volumes"]
    source, target = volume.split(":")
    assert target == instruction(r"^VOLUME (\S+)$")[1] == instruction(r"VNYATNO_HOME=(\S+)")[1]
    assert source in COMPOSE["volumes"]
    check = instruction(r"^HEALTHCHECK --interval=(\S+) --timeout=(\S+) --start-period=(\S+) --retries=(\d+) CMD (.+)$")
    health = service["healthcheck"]
    told = (health["interval"], health["timeout"], health["start_period"], str(health["retries"]))
    assert told == check.groups()[:4]
    assert health["test"] == ["CMD", *json.loads(check[5])]
    assert service["build"]["context"] == "."
    assert set(service["build"]["args"]) <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, flags=re.MULTILINE))


def test_either_service_is_started_again_and_has_time_to_end() -> None:
    for service in SERVICES.values():
        assert service["restart"] == "unless-stopped"
        assert float(service["stop_grace_period"].removesuffix("s")) >= GRACE_SECONDS + 4


def test_the_services_differ_by_the_gpu_alone() -> None:
    gpu = dict(SERVICES["gpu"])
    (device,) = gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert (gpu.pop("profiles"), SERVICES["cpu"]["profiles"]) == (["gpu"], ["cpu"])
    assert gpu == {key: value for key, value in SERVICES["cpu"].items() if key != "profiles"}


def test_every_variable_that_is_passed_on_is_described() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in SERVICES["cpu"]["environment"] if f"`{name}" not in readme] == []


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_readmes_name_both_profiles(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "docker compose --profile gpu up -d" in text
    assert "`--profile cpu`" in text


@pytest.mark.system
@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_itself_takes_the_file(profile: str) -> None:
    """With the plugin of Docker's command line, or Debian's docker-compose."""
    command = ["docker", "compose"]
    plugin = shutil.which("docker") and subprocess.run([*command, "version"], capture_output=True).returncode == 0
    if not plugin:
        assert shutil.which("docker-compose"), "install Debian's docker-compose, or Docker's compose plugin"
        command = ["docker-compose"]
    command = [*command, "-f", str(ROOT / "compose.yaml"), "--profile", profile, "config"]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert read.returncode == 0, read.stderr
    service = yaml.safe_load(read.stdout)["services"][profile]
    assert (service["profiles"], service["restart"], service["image"]) == ([profile], "unless-stopped", "app:latest")
