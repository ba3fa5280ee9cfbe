"""Stage outputs: found again for equal causes, never half-written, resumed only where that is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.store import MissingOutput, OutputsDisagree, StageStore, read_cause, require_one_origin
from speech.files import write_json
from speech.home import Home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(Home(tmp_path))


def counting(calls: list[str]) -> Callable[[Path], dict[str, Any]]:
    def make(folder: Path) -> dict[str, Any]:
        calls.append(folder.name)
        (folder / "data.txt").write_text("made")
        return {"lines": 1}

    return make


def test_equal_causes_are_made_once(store: StageStore) -> None:
    calls: list[str] = []
    first = store.build("clips", 1, {"a": 1}, {"archive": "x"}, counting(calls))
    again = store.build("clips", 1, {"a": 1}, {"archive": "x"}, counting(calls))
    assert len(calls) == 1
    assert (first.reused, again.reused) == (False, True)
    assert again.summary == {"lines": 1}
    assert again.folder == first.folder
    assert read_cause(again)["settings"] == {"a": 1}


MAKING = """
import sys, time
from pathlib import Path
from pipeline.store import StageStore
from speech.home import Home

def make(folder):
    (folder / "data.txt").write_text("half")
    print("begun", flush=True)
    time.sleep(float(sys.argv[2]))
    (folder / "data.txt").write_text("whole")
    return {}

StageStore(Home(Path(sys.argv[1]))).build("heads", 1, {}, {}, make, resumable=True)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_process_that_outlives_its_run_is_waited_for(store: StageStore, killed: bool) -> None:
    """Two that write into one folder would mix their checkpoints."""
    command = [sys.executable, "-c", MAKING, str(store.home.root), "600" if killed else "1"]
    other = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "begun\n"
    calls: list[str] = []
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        if killed:
            other.kill()

    made = store.build("heads", 1, {}, {}, counting(calls), report=report, resumable=True)
    other.wait()
    other.stdout.close()
    assert lines == ["heads: another process makes this very output; waiting for it"]
    assert (made.folder / "data.txt").read_text() == ("made" if killed else "whole")
    assert (made.reused, len(calls)) == (not killed, int(killed))


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"settings": {"a": 2}}, {"inputs": {"archive": "y"}}, {"stage": "other"}]
)
def test_any_change_of_the_cause_makes_another_output(store: StageStore, change: dict[str, Any]) -> None:
    calls: list[str] = []
    cause: dict[str, Any] = {"stage": "clips", "version": 1, "settings": {"a": 1}, "inputs": {"archive": "x"}}
    first = store.build(**cause, make=counting(calls))
    other = store.build(**(cause | change), make=counting(calls))
    assert len(calls) == 2
    assert first.key != other.key


def test_failure_leaves_no_output(store: StageStore) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        store.build("clips", 1, {}, {}, fail)
    assert list((store.home.stages / "clips").iterdir()) == []
    calls: list[str] = []
    made = store.build("clips", 1, {}, {}, counting(calls))
    assert sorted(path.name for path in made.folder.iterdir()) == ["data.txt", "stage.json"]


@pytest.mark.parametrize("resumable", [True, False])
def test_what_a_kill_left_is_found_only_by_resumable_stages(store: StageStore, resumable: bool) -> None:
    seen: list[bool] = []

    def make(folder: Path) -> dict[str, Any]:
        seen.append((folder / "checkpoint").exists())
        (folder / "checkpoint").touch()
        if len(seen) == 1:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        store.build("heads", 1, {}, {}, make, resumable=resumable)
    store.build("heads", 1, {}, {}, make, resumable=resumable)
    assert seen == [False, resumable]


def test_outputs_whose_keys_held_more_are_found(store: StageStore) -> None:
    calls: list[str] = []
    before = store.build("clips", 1, {"a": 1, "timeout": 60.0}, {"archive": "x"}, counting(calls))
    now: dict[str, Any] = {"settings": {"a": 1}, "inputs": {"archive": "x"}, "make": counting(calls)}
    found = store.build("clips", 1, **now, not_in_key={"timeout"})
    assert (found.key, found.reused, len(calls)) == (before.key, True, 1)
    for changed in ({"settings": {"a": 2}}, {"inputs": {"archive": "y"}}):
        assert not store.build("clips", 1, **(now | changed), not_in_key={"timeout"}).reused
    assert not store.build("clips", 2, **now, not_in_key={"timeout"}).reused
    assert not store.build("clips", 1, **now).reused  # a field that is no setting any more may have mattered


def test_outputs_of_different_data_are_not_joined(store: StageStore) -> None:
    calls: list[str] = []
    clips, others = (store.build("clips", 1, {"a": a}, {}, counting(calls)) for a in (1, 2))
    heads = store.build("heads", 1, {}, {"clips": clips.key, "imitable": "stutter"}, counting(calls))
    require_one_origin("evaluation", [heads, clips])
    store.remember("first", heads)
    store.remember("second", others)
    taken = [store.recall((), stage) for stage in ("clips", "heads")]
    with pytest.raises(OutputsDisagree) as refused:
        require_one_origin("evaluation", taken)
    assert f"heads {heads.key} (run first) was made from clips {clips.key}" in str(refused.value)
    assert f"clips {others.key} (run second) is what stands now" in str(refused.value)


def test_a_note_of_before_that_names_no_run_is_read(store: StageStore) -> None:
    made = store.build("clips", 1, {}, {}, counting([]))
    write_json(store.home.root / "runs" / "latest" / "clips.json", {"stage": "clips", "key": made.key})
    assert store.recall((), "clips") == replace(made, reused=True)


def test_recall_follows_the_retried_runs_before_the_latest(store: StageStore) -> None:
    calls: list[str] = []
    old = store.build("clips", 1, {"a": 1}, {}, counting(calls))
    new = store.build("clips", 1, {"a": 2}, {}, counting(calls))
    store.remember("first-run", old)
    store.remember("second-run", new)
    assert store.recall(["retry", "first-run"], "clips").key == old.key
    assert store.recall(["unrelated"], "clips").key == new.key
    with pytest.raises(MissingOutput, match="launch the whole job"):
        store.recall(["first-run"], "heads")
