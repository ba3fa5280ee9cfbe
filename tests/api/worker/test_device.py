"""Where a service computes: as the card allows, and said aloud where it does not."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry

from api.observe.metrics import Metrics
from api.worker.engine import Engine
from speech.hardware import devices
from speech.hardware.devices import Card, Hardware
from speech.home import Home
from tests.api.conftest import SETTINGS

CARD = Hardware((Card("NVIDIA L4", 24_000_000_000, bf16=True),), driver=True)
NONE = Hardware(no_card="there is none")


def compute() -> None:
    """A card that computes."""


def fail() -> None:
    raise RuntimeError("CUDA error: no kernel image is available for execution on the device")


@pytest.mark.parametrize(
    ("setting", "hardware", "attempt", "device", "said"),
    [
        ("cpu", CARD, compute, "cpu", ""),
        ("auto", CARD, compute, "cuda", ""),
        ("auto", CARD, fail, "cpu", "the card is too old or too new for the installed libraries"),
        ("auto", NONE, fail, "cpu", ""),
        ("cuda", CARD, compute, "cuda", ""),
        ("cuda", NONE, fail, "cuda", "device is cuda, but there is none; no bundle can be loaded"),
    ],
)
def test_the_setting_and_the_card_decide(
    setting: str,
    hardware: Hardware,
    attempt: object,
    device: str,
    said: str,
    data_home: Home,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(devices.choose_device, "__defaults__", (lambda: hardware, attempt))
    engine = Engine(SETTINGS.model_copy(update={"device": setting}), data_home, Metrics(CollectorRegistry()))
    try:
        assert {loader._device for loader in engine.loaders.values()} == {device}
    finally:
        engine.close()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [said in line for line in told] == ([True] if said else [])
