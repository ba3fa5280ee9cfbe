"""Whisper on a graphics card that fails in each way, in the words of CTranslate2, PyTorch and CUDA; the processor that
takes over is real, and so are the weights."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import ctranslate2
import numpy as np
import pytest
import torch

import speech.whisper.loading
import speech.whisper.openai
from speech.hardware.card_faults import explained, is_memory, of_card
from speech.hardware.devices import Card, Hardware
from speech.home import weights_folder
from speech.whisper.backend import TranscriberError, WhisperOptions
from speech.whisper.faster import CTranslateWhisper, WindowedWhisper
from speech.whisper.loading import load_transcriber, settled
from speech.whisper.weights import FASTER_WHISPER, OFFLINE_CHECKPOINT, OFFLINE_FOLDER, OPENAI_WHISPER

CARD = Hardware((Card("NVIDIA L4", 24_000_000_000, bf16=True),), driver=True)
NO_LIBRARY = RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")
NO_DRIVER = RuntimeError("CUDA failed with error CUDA driver version is insufficient for CUDA runtime version")
NO_CARD = RuntimeError("CUDA failed with error no CUDA-capable device is detected")
NO_MEMORY = RuntimeError("CUDA failed with error out of memory")
NO_WORKSPACE = RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED")
TOO_OLD = RuntimeError("CUDA failed with error no kernel image is available for execution on the device")
TAKEN = RuntimeError("CUDA failed with error CUDA-capable device(s) is/are busy or unavailable")
NOT_BUILT = ValueError("This CTranslate2 package was not compiled with CUDA support")
REMEDIES = [
    (NO_LIBRARY, r"the library libcublas\.so\.12 is missing; `make setup TORCH=cuda` installs it \(package nvidia-cub"),
    (NO_DRIVER, r"the NVIDIA driver is missing or too old; install a newer one"),
    (NO_CARD, r"no NVIDIA card is seen; `nvidia-smi` must list one"),
    (NO_MEMORY, r"memory is missing; `nvidia-smi` shows what holds the card's: end that, or take a smaller model"),
    (NO_WORKSPACE, r"memory is missing; .*CUBLAS_STATUS_ALLOC_FAILED"),
    (TOO_OLD, r"the card is too old or too new for the installed libraries"),
    (TAKEN, r"another program holds the card alone"),
    (NOT_BUILT, r"this build of the library computes on the processor alone; `make setup TORCH=cuda` installs "),
]

Plug = Callable[..., list[str]]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """A card in CTranslate2's eyes: the processor computes for it, unless it fails while a model is loaded or encodes.
    Gives the number formats in which models were loaded."""

    def plugged(
        formats: set[str] | None = None, *, loads: Exception | None = None, encodes: Exception | None = None
    ) -> list[str]:
        taken: list[str] = []

        class Made(WindowedWhisper):
            def __init__(self, model: str, device: str, compute_type: str, cpu_threads: int) -> None:
                self.on_card = device == "cuda"
                if self.on_card:
                    taken.append(compute_type)
                    if loads is not None:
                        raise loads
                super().__init__(model, device="cpu", compute_type="int8", cpu_threads=cpu_threads)

            def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
                if self.on_card and encodes is not None:
                    raise encodes
                return super().encode(features)

        has = {"float32", "float16", "int8"} if formats is None else formats
        monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
        monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: has)
        monkeypatch.setattr("speech.whisper.faster.WindowedWhisper", Made)
        return taken

    return plugged


@pytest.fixture(autouse=True)
def weights() -> None:
    for name in (OFFLINE_FOLDER, OFFLINE_CHECKPOINT):
        assert (weights_folder() / name).exists(), f"{weights_folder() / name} is missing; run `make setup`"


def options(device: str, **more: str) -> WhisperOptions:
    return WhisperOptions(device=device, threads=2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("fault", "remedy"), REMEDIES[:4])
@pytest.mark.parametrize("moment", ["loads", "encodes"])
def test_a_card_that_fails_is_left_alone_aloud(
    plug: Plug, caplog: pytest.LogCaptureFixture, fault: Exception, remedy: str, moment: str
) -> None:
    plug(**{moment: fault})
    loaded = load_transcriber(options("auto"))
    assert isinstance(loaded, CTranslateWhisper)
    assert loaded.device == "cpu"
    (record,) = [record for record in caplog.records if record.name == "speech.whisper.loading"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Whisper computes on the processor and not on the NVIDIA card: ")
    assert str(fault) in record.getMessage()
    with pytest.raises(TranscriberError, match=f"^device is cuda, but {remedy}"):
        load_transcriber(options("cuda"))


def test_a_card_that_computes_is_used(plug: Plug, caplog: pytest.LogCaptureFixture) -> None:
    taken = plug()
    for device in ("auto", "cuda"):
        assert load_transcriber(options(device)).device == "cuda"
    assert taken == ["float16", "float16"]
    assert not caplog.records


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        ({"float32", "float16", "bfloat16", "int8", "int8_float16"}, "float16"),
        ({"float32", "int8", "int8_float32"}, "int8"),
        ({"float32"}, "float32"),
    ],
)
def test_the_card_decides_the_number_format(plug: Plug, formats: set[str], chosen: str) -> None:
    taken = plug(formats)
    assert settled(options("auto"))["compute_type"] == chosen
    load_transcriber(options("cuda"))
    load_transcriber(options("cuda", compute_type="float32"))
    assert taken == [chosen, "float32"]


def test_a_damaged_model_is_no_fault_of_the_card(plug: Plug) -> None:
    plug(loads=RuntimeError("Unable to open file 'model.bin' in model '/weights'"))
    with pytest.raises(TranscriberError, match="does not load: Unable to open file"):
        load_transcriber(options("auto"))


def test_values_that_are_not_finite_are_a_fault_of_the_card(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug()
    monkeypatch.setattr("speech.whisper.faster.np.isfinite", lambda values: np.zeros(1, bool))
    with pytest.raises(TranscriberError, match="device is cuda, but Whisper's encoder gives values that are not"):
        load_transcriber(options("cuda"))


def test_a_card_that_fails_later_says_what_to_do(plug: Plug) -> None:
    plug(encodes=None)
    loaded = load_transcriber(options("cuda"))
    assert isinstance(loaded, CTranslateWhisper)

    def fails(features: np.ndarray) -> ctranslate2.StorageView:
        raise NO_MEMORY

    loaded._model.encode = fails  # type: ignore[method-assign]
    with pytest.raises(TranscriberError, match="Whisper on the NVIDIA card: memory is missing"):
        loaded.transcribe(np.zeros(16_000, np.float32))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said where there is no card")
def test_without_a_card_the_real_library_says_why(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TranscriberError, match=r"device is cuda, but (the NVIDIA driver is missing|this build)"):
        load_transcriber(options("cuda"))
    assert load_transcriber(options("auto")).device == "cpu"
    assert load_transcriber(options("auto")).device == "cpu"
    assert not caplog.records  # a machine without a card is an ordinary one
    monkeypatch.setattr(speech.whisper.loading, "driver_runs", lambda: True)
    assert load_transcriber(options("auto")).device == "cpu"
    assert "and not on the NVIDIA card: " in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said where there is no card")
def test_openai_whisper_where_pytorch_has_no_card(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = options("cuda", backend=OPENAI_WHISPER)
    with pytest.raises(TranscriberError, match=r"device is cuda, but .*PyTorch .*(`make setup TORCH=|`nvidia-smi`)"):
        load_transcriber(wanted)
    monkeypatch.setattr(speech.whisper.loading, "read_hardware", lambda: CARD)  # a card that PyTorch then cannot take
    said = "not compiled with CUDA enabled|Found no NVIDIA driver"
    with pytest.raises(TranscriberError, match=rf"device is cuda, but .*(`make setup TORCH=cuda`|driver).*({said})"):
        load_transcriber(wanted)
    assert load_transcriber(options("auto", backend=OPENAI_WHISPER)).device == "cpu"
    assert re.search(said, caplog.text)


@pytest.mark.parametrize("fault", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), NO_DRIVER])
def test_openai_whisper_leaves_a_card_that_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fails(whisper: speech.whisper.openai.OpenAIWhisper) -> None:
        raise fault

    monkeypatch.setattr(speech.whisper.loading, "read_hardware", lambda: CARD)
    monkeypatch.setattr("whisper.Whisper.to", lambda model, device: model)
    monkeypatch.setattr(speech.whisper.openai.OpenAIWhisper, "try_out", fails)
    assert load_transcriber(options("auto", backend=OPENAI_WHISPER)).device == "cpu"
    assert str(fault) in caplog.text
    with pytest.raises(TranscriberError, match="device is cuda, but "):
        load_transcriber(options("cuda", backend=OPENAI_WHISPER))


@pytest.mark.parametrize(("fp16", "chosen"), [(True, "float16"), (False, "float32")])
def test_openai_whisper_computes_in_what_the_card_has(monkeypatch: pytest.MonkeyPatch, fp16: bool, chosen: str) -> None:
    card = Hardware((Card("a card", 8_000_000_000, bf16=False, fp16=fp16),), driver=True)
    monkeypatch.setattr(speech.whisper.loading, "read_hardware", lambda: card)
    assert settled(options("cuda", backend=OPENAI_WHISPER))["compute_type"] == chosen


@pytest.mark.parametrize("backend", [FASTER_WHISPER, OPENAI_WHISPER])
def test_a_second_of_sound_is_really_encoded(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_transcriber(options("cpu", backend=backend))
    loaded.try_out()  # type: ignore[attr-defined]
    fault = RuntimeError("the encoder was called")

    def encode(*_: object) -> object:
        raise fault

    monkeypatch.setattr("speech.whisper.faster.WindowedWhisper.encode", encode)
    monkeypatch.setattr("whisper.Whisper.embed_audio", encode)
    with pytest.raises(RuntimeError, match="the encoder was called"):
        loaded.try_out()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("fault", "remedy"), REMEDIES)
def test_each_fault_has_its_remedy(fault: Exception, remedy: str) -> None:
    assert of_card(fault)
    assert re.match(remedy, explained(fault))
    assert is_memory(fault) == (fault in (NO_MEMORY, NO_WORKSPACE))


def test_memory_and_what_is_no_fault_of_a_card() -> None:
    assert is_memory(MemoryError())
    assert is_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"))
    assert explained(MemoryError("12 GiB")).startswith("memory of the machine is missing; end what holds it")
    assert not is_memory(ValueError("out of memory"))  # what a library says of a file
    assert not of_card(RuntimeError("File model.bin is incomplete"))
    assert explained(RuntimeError("CUDA failed with error unknown error")).startswith("the card does not compute (CUDA")
