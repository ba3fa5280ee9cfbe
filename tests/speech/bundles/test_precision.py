"""Which precision serves: the fastest that the bundle allows, measured once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from speech.bundles import precision
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.bundles.precision import Precisions
from speech.defects.agreement import Agreement
from speech.defects.model import DefectModel
from speech.encoders.precision import Precision
from speech.hardware.devices import Card, Hardware
from speech.home import Home
from tests.bundles import write_tiny_bundle

GOOD, BAD = Agreement(240, 0.01, 0, 0), Agreement(240, 0.03, 0, 0)


@pytest.fixture
def bundle(data_home: Home) -> LoadedBundle:
    return load_bundle(
        write_tiny_bundle(data_home, "tiny-1", precisions={Precision.int8: GOOD, Precision.int8_linear: BAD})
    )


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was measured; every model but the first of a bundle takes half as long as it."""
    tries: list[str] = []

    def probe(model: DefectModel) -> float:
        tries.append(type(next(model.encoder.encoder.layers[0].attention.children())).__name__)
        return 0.5 ** len(tries)

    monkeypatch.setattr(precision, "probe", probe)
    return tries


def test_the_fastest_that_may_serve_serves(bundle: LoadedBundle, data_home: Home, probed: list[str]) -> None:
    chosen = Precisions(data_home, 1).apply(bundle)
    assert chosen.precision is Precision.int8
    assert chosen.measured == {Precision.fp32: 0.5, Precision.int8: 0.25}
    assert probed == ["Linear", "_Part"]
    assert chosen.model is not bundle.model
    assert chosen.config == bundle.config


def test_it_is_measured_once(bundle: LoadedBundle, data_home: Home, probed: list[str]) -> None:
    first = Precisions(data_home, 1).apply(bundle)
    again = Precisions(data_home, 1).apply(bundle)
    assert len(probed) == 2
    assert (again.precision, again.measured) == (first.precision, first.measured)


def test_where_fp32_is_the_fastest_it_serves(bundle: LoadedBundle, data_home: Home, probed: list[str]) -> None:
    Precisions(data_home, 1).apply(bundle)
    (file,) = data_home.serving.glob("*.json")
    (key,) = json.loads(file.read_text())
    file.write_text(json.dumps({key: {"fp32": 0.1, "int8": 0.2}}))
    chosen = Precisions(data_home, 1).apply(bundle)
    assert chosen.precision is Precision.fp32
    assert chosen.model is bundle.model


@pytest.mark.parametrize("agreements", [{}, {Precision.int8: BAD}, {Precision.int8: Agreement(0, 0.0, 0, 0)}])
def test_what_nobody_measured_or_differs_does_not_serve(
    data_home: Home, probed: list[str], agreements: dict[Precision, Agreement]
) -> None:
    bundle = load_bundle(write_tiny_bundle(data_home, "tiny-2", precisions=agreements))
    assert Precisions(data_home, 1).apply(bundle) is bundle
    assert probed == []


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"KEY": 5}', '{"KEY": {"fp32": "x"}}', '{"KEY": {"int7": 1}}'])
def test_a_file_that_cannot_be_used_is_made_anew(
    bundle: LoadedBundle, data_home: Home, probed: list[str], text: str
) -> None:
    Precisions(data_home, 1).apply(bundle)
    (file,) = data_home.serving.glob("*.json")
    good = json.loads(file.read_text())
    file.write_text(text.replace("KEY", next(iter(good))))
    assert Precisions(data_home, 1).apply(bundle).precision is Precision.int8
    assert len(probed) == 4
    assert json.loads(file.read_text()) == {next(iter(good)): {"fp32": 0.125, "int8": 0.0625}}


def test_where_nothing_can_be_written_it_still_serves(
    bundle: LoadedBundle, data_home: Home, probed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    data_home.serving.parent.mkdir(parents=True, exist_ok=True)
    Path(data_home.serving).write_text("in the way")
    assert Precisions(data_home, 1).apply(bundle).precision is Precision.int8
    assert "will be measured again" in caplog.text


def on_card(
    monkeypatch: pytest.MonkeyPatch, card: Card, home: Home, **agreements: Agreement
) -> tuple[LoadedBundle, LoadedBundle]:
    """A bundle as if it were on a card, and what serves of it there."""
    monkeypatch.setattr("speech.defects.precision.device_of", lambda model: "cuda")
    monkeypatch.setattr(precision, "device_of", lambda model: "cuda")
    monkeypatch.setattr(precision, "read_hardware", lambda: Hardware((card,)))
    monkeypatch.setattr(precision.permitted, "__defaults__", (lambda: Hardware((card,)),))
    measured = {Precision(name): agreement for name, agreement in agreements.items()}
    loaded = load_bundle(write_tiny_bundle(home, "tiny-2", precisions=measured))
    return loaded, Precisions(home, 1).apply(loaded)


H200 = Card("NVIDIA H200", 150_000_000_000, bf16=True)
T4 = Card("Tesla T4", 15_000_000_000, bf16=False)
P100 = Card("Tesla P100", 17_000_000_000, bf16=False, fp16=False)


@pytest.mark.parametrize(
    ("card", "agreements", "chosen"),
    [
        (H200, {"bf16": GOOD, "fp16": GOOD, "int8": GOOD}, Precision.bf16),
        (H200, {"bf16": BAD, "fp16": GOOD}, Precision.fp16),
        (H200, {"int8": GOOD}, Precision.fp32),
        (T4, {"bf16": GOOD, "fp16": GOOD}, Precision.fp16),
        (T4, {"bf16": GOOD, "fp16": BAD}, Precision.fp32),
        (T4, {"bf16": GOOD}, Precision.fp32),
        (P100, {"bf16": GOOD, "fp16": GOOD}, Precision.fp32),
    ],
)
@pytest.mark.usefixtures("probed")
def test_a_card_computes_in_what_it_has_and_the_bundle_allows(
    monkeypatch: pytest.MonkeyPatch, data_home: Home, card: Card, agreements: dict[str, Agreement], chosen: Precision
) -> None:
    loaded, serving = on_card(monkeypatch, card, data_home, **agreements)
    assert serving.precision is chosen
    dtype = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16, Precision.fp32: torch.float32}[chosen]
    assert next(serving.model.encoder.parameters()).dtype is dtype
    assert next(loaded.model.encoder.parameters()).dtype is torch.float32


def test_what_was_measured_on_one_card_does_not_count_for_another(
    monkeypatch: pytest.MonkeyPatch, data_home: Home, probed: list[str]
) -> None:
    on_card(monkeypatch, H200, data_home, bf16=GOOD, fp16=GOOD)
    on_card(monkeypatch, H200, data_home, bf16=GOOD, fp16=GOOD)
    assert len(probed) == 2
    on_card(monkeypatch, T4, data_home, bf16=GOOD, fp16=GOOD)
    assert len(probed) == 4


def test_a_precision_that_gives_no_finite_values_here_does_not_serve(
    monkeypatch: pytest.MonkeyPatch, data_home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    def overflows(model: DefectModel) -> float:
        if next(model.encoder.parameters()).dtype is torch.float16:
            raise FloatingPointError("the model gave values that are not finite")
        return 1.0

    monkeypatch.setattr(precision, "probe", overflows)
    assert on_card(monkeypatch, T4, data_home, fp16=GOOD)[1].precision is Precision.fp32
    assert "tiny-2: fp16 gives values here that are not finite" in caplog.text
