"""The recogniser's demonstration from the first download to both routes, and what a threshold set too low does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from deploy.addresses import Addresses
from deploy.demo.__main__ import RECIPES
from deploy.run.parts import ROOT
from speech.home import Home
from speech.serving.pointer import read_pointer
from tests.deploy.conftest import assert_nothing_left

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


def test_it_serves_a_good_recogniser_and_keeps_it_when_a_later_one_is_refused(
    data_home: Home, addresses: Addresses, environment: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    def demonstrate(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.demo", "--recipe", "asr", "--keep", "0", *more]
        where = environment(data_home, addresses)
        return subprocess.run(command, cwd=ROOT, env=where, capture_output=True, text=True)

    shown = demonstrate()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "POST /api/transcribe" in shown.stdout
    assert "POST /v1/audio/transcriptions" in shown.stdout
    assert "word error rate" in shown.stdout
    pointer = read_pointer(data_home, "asr")
    assert pointer is not None
    strict = yaml.safe_load(RECIPES["asr"].config.read_text(encoding="utf-8"))
    strict["ops"]["recogniser"]["config"]["epochs"] = 0.2  # no recogniser is so good that nothing could refuse it
    strict["ops"]["asr_bundle"]["config"]["max_wer"] = 0.0
    (tmp_path / "strict.yaml").write_text(yaml.safe_dump(strict), encoding="utf-8")
    refused = demonstrate("--config", str(tmp_path / "strict.yaml"), "--archive", RECIPES["asr"].archive)
    assert refused.returncode == 1, refused.stdout
    assert "maximum_wer" in refused.stderr
    assert "the service stays as it is" in refused.stderr
    assert read_pointer(data_home, "asr") == pointer
    assert_nothing_left(data_home, addresses)
