"""What a machine can compute on, read from torch as made-up hardware answers it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from speech.hardware.card_faults import explained
from speech.hardware.devices import Card, DeviceError, Hardware, choose_device, read_hardware, try_card

T4 = Card("Tesla T4", 15_000_000_000, bf16=False)
H200 = Card("NVIDIA H200", 150_000_000_000, bf16=True)
P100 = Card("Tesla P100", 17_000_000_000, bf16=False, fp16=False)
CAPABILITIES = {T4: (7, 5), H200: (9, 0), P100: (6, 0)}


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes torch see the cards."""

    def plugged(*cards: Card, cuda: str | None = "13.0", cpu_bf16: bool = False) -> None:
        current = [0]

        def bf16_supported(including_emulation: bool = True) -> bool:
            return including_emulation or cards[current[0]].bf16  # as torch: every card emulates it

        def chosen(number: int) -> nullcontext[None]:
            current[0] = number
            return nullcontext()

        def properties(number: int) -> SimpleNamespace:
            major, minor = CAPABILITIES[cards[number]]
            memory = cards[number].memory_bytes
            return SimpleNamespace(name=cards[number].name, total_memory=memory, major=major, minor=minor)

        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
        monkeypatch.setattr(torch.cuda, "device", chosen)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", bf16_supported)
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)

    return plugged


@pytest.mark.parametrize("cards", [(T4,), (H200,), (P100,), (H200, T4)])
def test_cards_are_read_and_emulated_bf16_is_none(plug: Callable[..., None], cards: tuple[Card, ...]) -> None:
    plug(*cards)
    assert read_hardware() == Hardware(cards, driver=True)


@pytest.mark.parametrize("bf16", [True, False])
def test_a_processor_alone(plug: Callable[..., None], bf16: bool) -> None:
    plug(cpu_bf16=bf16)
    assert read_hardware().cpu_bf16 is bf16
    assert read_hardware().cards == ()


@pytest.mark.parametrize(
    ("cuda", "why"),
    [(None, "on the processor alone; `make setup TORCH=cuda`"), ("13.0", "for CUDA 13.0 sees no NVIDIA card; `nvidia")],
)
def test_why_there_is_no_card(plug: Callable[..., None], cuda: str | None, why: str) -> None:
    plug(cuda=cuda)
    assert why in (read_hardware().no_card or "")


@pytest.mark.parametrize(("card", "format_"), [(T4, "fp16"), (H200, "bf16"), (P100, "fp32")])
def test_the_arithmetic_is_what_the_hardware_has(card: Card, format_: str) -> None:
    assert card.fastest == format_


def test_the_processor_is_asked_for_nothing() -> None:
    assert choose_device("cpu", never, never) == "cpu"


def never() -> Hardware:
    raise AssertionError("the hardware was read")


def computes() -> None:
    """A card that computes."""


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_card_that_computes_is_taken(wanted: str, caplog: pytest.LogCaptureFixture) -> None:
    assert choose_device(wanted, lambda: Hardware((T4,), driver=True), computes) == "cuda"
    assert not caplog.records


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), "too old or too new"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."), "memory is missing"),
        (AssertionError("Torch not compiled with CUDA enabled"), "`make setup TORCH=cuda`"),
        (RuntimeError("The NVIDIA driver on your system is too old (found version 12040)."), "install a newer one"),
    ],
)
def test_a_card_that_does_not_compute_is_left_alone_aloud(
    fault: Exception, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise fault

    assert choose_device("auto", lambda: Hardware((T4,), driver=True), fails) == "cpu"
    assert f"the NVIDIA card is not used, the processor computes instead: {explained(fault)}" in caplog.text
    assert remedy in caplog.text
    with pytest.raises(DeviceError, match=f"device is cuda, but .*{remedy}"):
        choose_device("cuda", lambda: Hardware((T4,), driver=True), fails)


@pytest.mark.parametrize("driver", [True, False])
def test_without_a_card_auto_warns_only_where_the_machine_has_one(
    driver: bool, caplog: pytest.LogCaptureFixture
) -> None:
    nothing = Hardware(driver=driver, no_card="there is none")
    assert choose_device("auto", lambda: nothing, never) == "cpu"
    assert ("computes instead: there is none" in caplog.text) is driver
    with pytest.raises(DeviceError, match="device is cuda, but there is none"):
        choose_device("cuda", lambda: nothing, never)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the trial fails where there is no card")
def test_the_trial_computes_on_the_card() -> None:
    with pytest.raises((RuntimeError, AssertionError), match=r"CUDA|NVIDIA"):
        try_card()


def test_a_wrong_product_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))
    try_card()
    monkeypatch.setattr(torch, "ones", lambda *size, device: 1.5 * ones(*size))
    with pytest.raises(RuntimeError, match=r"a product of matrices is 9216\.0 and not 4096"):
        try_card()
