"""The demonstration's steps: training against a real Dagster over toy definitions, asking against a local stand-in."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from deploy.addresses import Addresses
from deploy.demo import defects_demo, example_clips
from deploy.demo.dagster_runs import Dagster
from deploy.demo.recorded_metrics import RecordedMetricError
from deploy.demo.service_client import Answer, Service
from deploy.demo.training import DemoError, Training
from deploy.run.parts import ROOT
from deploy.run.stack import Stack
from speech.home import Home
from tests.deploy.conftest import assert_nothing_left, toy_stack
from tests.deploy.stand_in import StandIn, stand_in

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
__all__ = ["stand_in"]
CONFIG: dict[str, Any] = {"ops": {"archive": {"config": {"sources": ["a.zip"]}}}}
FIGURES = {"macro_f1": 0.8, "majority_macro_f1": 0.1, "marker_mae": 0.4, "marker_mae_of_mean": 0.9}


def nothing() -> None:
    """Every server is well."""


def connected(stack: Stack) -> Dagster:
    return Dagster(stack.addresses.dagster.url, stack.home.dagster)


def of(stack: Stack, check: Callable[[], None] = nothing) -> tuple[Training, io.StringIO]:
    printed = io.StringIO()
    return Training(Console(file=printed, width=120), connected(stack), "train", check), printed


def ask(stand_in: StandIn, recorded: dict[str, dict[str, Any]]) -> tuple[list[str], str]:
    """What falls short, and what was printed."""
    printed = io.StringIO()
    console = Console(file=printed, width=120)
    return defects_demo.ask(console, Service(stand_in.address.url), recorded, nothing), printed.getvalue()


def test_training_shows_its_stages_and_returns_their_metadata(running_dagster: Stack) -> None:
    run, printed = of(running_dagster)
    assert run.train(CONFIG)["archive"]["bundle_id"] == "toy-1"
    assert "archive: 1 of 1 files" in printed.getvalue()
    assert "evaluation: done in" in printed.getvalue()
    assert "/runs/" in printed.getvalue()


def test_the_run_is_linked_where_a_person_opens_dagster(running_dagster: Stack) -> None:
    printed = io.StringIO()
    console, dagster = Console(file=printed, width=120), connected(running_dagster)
    Training(console, dagster, "train", nothing, "https://localhost:3443").train(CONFIG)
    assert "run https://localhost:3443/runs/" in printed.getvalue()
    assert dagster.url not in printed.getvalue()


def test_a_failed_run_is_told_with_its_reason(running_dagster: Stack) -> None:
    run, _ = of(running_dagster)
    failing = {"ops": {"archive": {"config": {"sources": ["a.zip"], "fail": True}}}}
    with pytest.raises(DemoError, match="FAILURE") as failed:
        run.train(failing)
    assert "a.zip: there is no such file; check the path" in str(failed.value)


def test_the_death_of_a_server_ends_the_wait(running_dagster: Stack) -> None:
    def dead() -> None:
        raise RuntimeError("the daemon ended")

    run, _ = of(running_dagster, dead)
    with pytest.raises(RuntimeError, match="the daemon ended"):
        run.train(CONFIG)


@pytest.mark.system
def test_an_interrupted_run_goes_on_after_the_next_start(data_home: Home, addresses: Addresses) -> None:
    slow = {"ops": {"archive": {"config": {"sources": ["a.zip"], "seconds": 4.0}}}}
    with toy_stack(data_home, addresses):
        dagster = Dagster(addresses.dagster.url, data_home.dagster)
        run_id = dagster.launch("train", slow)
        while not any(event.kind == "message" for event in dagster.events(run_id)[0]):
            time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert_nothing_left(data_home, addresses)
    with toy_stack(data_home, addresses) as stack:
        run, printed = of(stack)
        metadata = run.await_end(run_id)
    assert metadata["archive"]["clips"] == 12
    assert "going on as run" in printed.getvalue()


def metadata(clip: Path, **figures: Any) -> dict[str, dict[str, Any]]:
    evaluation = {"example_clip": str(clip), "example_label": "burr", **FIGURES, **figures}
    return {"bundle": {"bundle_id": "b-1"}, "evaluation": evaluation}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp3"
    path.write_bytes(b"sound")
    return path


def test_the_clip_is_posted_once_the_runs_bundle_serves(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = [None, "b-0", "b-1"]
    problems, printed = ask(stand_in, metadata(clip))
    assert problems == []
    assert stand_in.posted == [("clip.mp3", b"sound")]
    assert "burr" in printed
    assert "0.800    0.100" in printed


def test_what_falls_short_is_returned(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = ["b-1"]
    stand_in.answering = "b-0"
    assert len(ask(stand_in, metadata(clip, macro_f1=0.2))[0]) == 2


def test_a_clip_of_each_class_is_posted_and_told_right_or_wrong(stand_in: StandIn, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "1.wav").write_bytes(b"other sound")
    rows = [
        {"class": "none", "file": "a/001.mp3", "labels": ["none"], "sound": str(tmp_path / "1.wav")},
        {"class": "burr", "file": "a/017.mp3", "labels": ["burr"], "sound": str(clip)},
        {"class": "stutter"},
    ]
    stand_in.serving = ["b-1"]
    recorded = metadata(clip, examples=json.dumps(rows))
    problems, printed = ask(stand_in, recorded)  # the stand-in says burr of everything
    assert problems == []
    assert stand_in.posted == [("clip.mp3", b"sound"), ("1.wav", b"other sound"), ("clip.mp3", b"sound")]
    assert "a test clip of each class, the first by its hash and not chosen by its answer:" in printed
    lines = printed.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  class "))
    assert [line.split() for line in lines[first : first + 3]] == [
        ["class", "file", "labelled", "the", "service", "says"],
        ["none", "a/001.mp3", "none", "burr", "0.70", "✗"],
        ["burr", "a/017.mp3", "burr", "burr", "0.70", "✓"],
    ]
    assert lines[first + 3] == "  stutter  no labelled clip of it is in the test split"


def test_unreadable_examples_are_told(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = ["b-1"]
    with pytest.raises(RecordedMetricError, match="the run's examples of the asset evaluation cannot be read"):
        ask(stand_in, metadata(clip, examples='[{"file": "a.mp3"}]'))


@pytest.mark.parametrize(
    ("answer", "labels", "right", "said"),
    [
        (Answer({"none": 0.1, "burr": 0.9}, "burr", "b", 2.0, {"burr": "yes"}), ("burr",), True,
         "burr 0.90 (burr: yes)"),
        (Answer({"none": 0.6, "burr": 0.4}, "none", "b", 2.0, {"burr": "unsure"}), ("burr",), False,
         "none 0.60 (burr: unsure)"),
        (Answer({"none": 0.9, "burr": 0.1}, "none", "b", 2.0, {"burr": "no"}), ("none",), True, "none 0.90"),
        (Answer({"none": 0.2, "burr": 0.9, "stutter": 0.7}, "burr", "b", 2.0, {}, exclusive=False), ("stutter", "burr"),
         True, "burr 0.90, stutter 0.70"),
        (Answer({"none": 0.2, "burr": 0.9, "stutter": 0.7}, "burr", "b", 2.0, {}, exclusive=False), ("burr",), False,
         "burr 0.90, stutter 0.70"),
    ],
)  # fmt: skip
def test_an_answer_is_right_where_it_names_what_the_clip_has(
    answer: Answer, labels: tuple[str, ...], right: bool, said: str
) -> None:
    assert example_clips.right(example_clips.ExampleClip("burr", "a.mp3", labels, Path("a.wav")), answer) is right
    assert example_clips.said(answer) == said


@pytest.mark.parametrize(("asset", "entry"), [("bundle", "bundle_id"), ("evaluation", "example_clip")])
def test_an_entry_that_the_run_did_not_record_is_named(stand_in: StandIn, clip: Path, asset: str, entry: str) -> None:
    recorded = metadata(clip)
    del recorded[asset][entry]
    with pytest.raises(DemoError, match=entry):
        ask(stand_in, recorded)


def test_bars_mark_the_diagnosis() -> None:
    text = defects_demo.bars(Answer({"none": 0.1, "burr": 0.9}, "burr", "b-1", 2.0))
    assert "burr  0.900  ███████████████████████████  ←" in text
    assert "none  0.100  ███\n" in text


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--archive", "/no/such.zip"], "/no/such.zip"),
        (["--config", "/no/such.yaml"], "such.yaml"),
        (["--recipe", "asr", "--archive", "/no/such.zip"], "/no/such.zip"),
    ],
)
def test_what_cannot_be_used_is_an_error_before_anything_starts(data_home: Home, options: list[str], word: str) -> None:
    asked = subprocess.run([sys.executable, "-m", "deploy.demo", *options], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 1
    assert word in asked.stderr
    assert "Traceback" not in asked.stderr
    assert not data_home.root.exists()


def test_ctrl_c_while_starting_ends_everything(
    data_home: Home, addresses: Addresses, environment: Callable[..., dict[str, str]]
) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "deploy.demo"], cwd=ROOT, env=environment(data_home, addresses), stderr=subprocess.PIPE
    )
    while not (data_home.root / "logs").exists():
        assert started.poll() is None
        time.sleep(0.05)
    assert psutil.Process(started.pid).children()
    os.kill(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=15)
    assert started.returncode == 130
    assert "Traceback" not in errors.decode()
    assert_nothing_left(data_home, addresses)
