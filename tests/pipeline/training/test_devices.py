"""Several devices train what one does; here they are two processes on the CPU, which talk by gloo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from pipeline.settings import Device, Precision
from pipeline.training.checkpoints import last_checkpoint
from pipeline.training.devices import LaunchFailed, launch
from pipeline.training.hardware import NothingToTrain, arithmetic, check_devices, on_cpu
from pipeline.training.sharing import Shares
from speech.hardware.devices import Card, Hardware, read_hardware
from tests.pipeline.training.shared import TRAININGS, train
from tests.pipeline.training.test_training import encoder_settings, ignore

pytestmark = pytest.mark.long

TWO_A100 = Hardware((Card("A100", 40 << 30, bf16=True),) * 2)
FOUR_T4 = Hardware((Card("T4", 16 << 30, bf16=False),) * 4)
LAPTOP, SERVER = Hardware(), Hardware(cpu_bf16=True)
# Rounding moves what has nearly no gradient by as much as Adam's steps are long; a wrong gradient moves all.
ROUNDING, WRONG = 3e-4, 5e-3


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def on_one(what: str, folder: Path) -> dict[str, Any]:
    return train(what=what, folder=str(folder), changes={}, report=ignore, metrics=ignore)


def on_two(what: str, folder: Path, spoilt: str = "", report: Any = ignore, **changes: Any) -> Any:
    arguments = {"what": what, "folder": str(folder), "changes": {"devices": 2} | changes, "spoilt": spoilt}
    return launch("tests.pipeline.training.shared:train", arguments, folder / "job", 2, report, ignore)


def apart(one: Path, other: Path) -> float:
    """The furthest that a weight is from its like."""
    weights = load_file(one / "weights"), load_file(other / "weights")
    assert weights[0].keys() == weights[1].keys()
    return max(float((weights[0][name].float() - weights[1][name].float()).abs().max()) for name in weights[0])


def evaluations(run: dict[str, Any]) -> list[float]:
    return [line["eval_loss"] for line in run["history"]]


@pytest.mark.parametrize("what", list(TRAININGS))
def test_two_give_the_weights_and_figures_of_one(what: str, tmp_path: Path) -> None:
    lines: list[str] = []
    one, two = on_one(what, tmp_path / "one"), on_two(what, tmp_path / "two", report=lines.append)
    assert apart(tmp_path / "one", tmp_path / "two") < ROUNDING
    assert two["steps"] == one["steps"]
    assert len(evaluations(two)) == 3
    assert evaluations(two) == pytest.approx(evaluations(one), rel=1e-4)
    assert two["best"] == pytest.approx(one["best"], rel=1e-4)
    stage = "recogniser" if what == "recogniser" else "encoder" if what == "encoder" else "heads"
    assert sum(line.startswith(f"{stage}: epoch 3.0, validation") for line in lines) == 1


@pytest.mark.parametrize(
    ("what", "spoilt"),
    [
        ("encoder", "gradients"),
        pytest.param("encoder", "means", marks=pytest.mark.system),
        pytest.param("heads", "shares", marks=pytest.mark.system),
    ],
)
def test_the_comparison_sees_what_is_not_shared_right(what: str, spoilt: str, tmp_path: Path) -> None:
    on_one(what, tmp_path / "one")
    on_two(what, tmp_path / "two", spoilt)
    assert apart(tmp_path / "one", tmp_path / "two") > WRONG


def test_processes_end_with_the_run_and_a_new_one_goes_on(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from pipeline.training.devices import launch
        changes = {"devices": 2, "epochs": 500}
        arguments = {"what": "heads", "folder": sys.argv[1], "changes": changes}
        say = lambda line: print(line, flush=True)
        launch("tests.pipeline.training.shared:train", arguments, Path(sys.argv[1]) / "job", 2, say, lambda *_: None)
        """
    )
    root = Path(__file__).resolve().parents[3]
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if "epoch 3.0" in line:
            break
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 3  # the launcher and two that train
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    run.stdout.close()
    last = last_checkpoint(tmp_path)
    assert last is not None
    done = int(last.name.rpartition("-")[2])
    lines: list[str] = []
    two = on_two("heads", tmp_path, report=lines.append, epochs=done // 2 + 1)
    assert f"heads: going on from {last.name}" in lines
    assert two["steps"] == done + 2


def test_a_mistake_of_the_user_comes_back_as_itself(tmp_path: Path) -> None:
    with pytest.raises(NothingToTrain, match=r"device: cuda was asked for, but .*; use auto or cpu"):
        on_two("encoder", tmp_path, device="cuda")


def test_an_error_in_a_process_is_told(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LaunchFailed, match="KeyError: 'nothing'"):
        on_two("nothing", tmp_path)
    assert time.monotonic() - began < 120


def test_shares_are_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for number in range(3):
        monkeypatch.setattr("pipeline.training.sharing.rank", lambda number=number: number)
        monkeypatch.setattr("pipeline.training.sharing.processes", lambda: 3)
        shares = Shares(range(10), 8)  # type: ignore[arg-type]
        assert len(shares) == 2
        taken.append(list(shares))
    assert taken == [[[0, 3, 6], [8]], [[1, 4, 7], [9]], [[2, 5], []]]


def test_batches_are_foretold() -> None:
    told: list[list[int]] = []
    seen = []
    for batch in Shares(range(10), 2, told.append, ahead=3):  # type: ignore[arg-type]
        seen.append(batch)
        assert told[: len(seen)] == seen
        assert len(told) == min(5, len(seen) + 3)
    assert seen == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("wanted", "hardware", "use_cpu", "chosen"),
    [
        (Precision.auto, TWO_A100, False, Precision.bf16),
        (Precision.auto, FOUR_T4, False, Precision.fp16),
        (Precision.auto, FOUR_T4, True, Precision.fp32),
        (Precision.auto, LAPTOP, True, Precision.fp32),
        (Precision.auto, SERVER, True, Precision.bf16),
        (Precision.fp32, TWO_A100, False, Precision.fp32),
        (Precision.fp16, TWO_A100, False, Precision.fp16),
        (Precision.bf16, FOUR_T4, False, Precision.bf16),
    ],
)
def test_arithmetic_is_what_the_hardware_really_has(
    wanted: Precision, hardware: Hardware, use_cpu: bool, chosen: Precision
) -> None:
    assert arithmetic(wanted, hardware, use_cpu=use_cpu) is chosen


def test_what_the_hardware_lacks_is_said() -> None:
    with pytest.raises(NothingToTrain, match="precision: fp16 needs a GPU"):
        arithmetic(Precision.fp16, LAPTOP, use_cpu=True)
    with pytest.raises(NothingToTrain, match="no GPU is seen"):
        on_cpu(Device.cuda, LAPTOP)
    with pytest.raises(NothingToTrain, match="devices: 8 were asked for, but 4 GPUs are seen"):
        check_devices(encoder_settings(devices=8, batch_size=16, device="auto"), FOUR_T4)
    with pytest.raises(NothingToTrain, match="devices: 4 cannot share batches of 2 clips"):
        check_devices(encoder_settings(devices=4, batch_size=2, device="auto"), FOUR_T4)
    check_devices(encoder_settings(devices=4, batch_size=4, device="auto"), FOUR_T4)


def test_emulated_bf16_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = type("Properties", (), {"name": "T4", "total_memory": 16 << 30, "major": 7, "minor": 5})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "device", lambda number: nullcontext())
    found = read_hardware()
    assert (len(found.cards), found.bf16, found.memory_bytes) == (4, False, 16 << 30)


def test_one_process_uses_one_of_several_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Trainer would take four that it sees for one batch four times as large, in a DataParallel."""
    from transformers import TrainingArguments

    seen = []
    setup = TrainingArguments._setup_devices.func  # type: ignore[attr-defined]

    def four(self: TrainingArguments) -> torch.device:
        device = setup(self)
        self._n_gpu = 4
        return device  # type: ignore[no-any-return]

    class Wrapped(torch.nn.DataParallel):
        def __init__(self, *given: Any, **named: Any) -> None:
            seen.append("wrapped")
            super().__init__(*given, **named)

    once = cached_property(four)
    once.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", once)
    monkeypatch.setattr(torch.nn, "DataParallel", Wrapped)
    _, run = TRAININGS["heads"](tmp_path, ignore, ignore)
    assert run.steps == 6
    assert not seen
