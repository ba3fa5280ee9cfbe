"""Which precision serves: the fastest that the bundle allows, measured once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from speech import precisions as precision
from speech.agreement import Agreement, Precision
from speech.bundle import LoadedBundle, load_bundle
from speech.home import Home
from speech.model import DefectModel
from speech.precisions import Precisions
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
