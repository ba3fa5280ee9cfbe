"""Whether a precision may serve: near enough in every probability, and no decision turned that was sure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speech.bundles.precision import fastest, probe
from speech.defects.agreement import Agreement, agree
from speech.defects.diagnose import diagnose
from speech.defects.model import DefectModel
from speech.defects.multilabel import uncalibrated
from speech.defects.precision import agreements, in_precision, offered, on_card
from speech.defects.spec import ModelSpec
from speech.encoders.precision import Precision
from speech.hardware.devices import Card, Hardware
from tests.bundles import tiny_model, tiny_spec
from tests.recordings import hum


def shifted(by: float, clip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A thousand clips, one of which has so much of its first class moved to the second."""
    reference = np.tile([0.9, 0.1], (1000, 1))
    reference[0] = [0.505, 0.495]
    other = reference.copy()
    other[clip] += [-by, by]
    return reference, other


def test_equal_probabilities_agree() -> None:
    assert agree(*shifted(0.0)) == Agreement(1000, 0.0, 0, 0)
    assert agree(*shifted(0.0)).holds


def test_a_decision_may_turn_where_fp32_hardly_made_one() -> None:
    turned = agree(*shifted(0.015))
    assert (turned.flipped, turned.flipped_sure) == (1, 0)
    assert turned.difference == pytest.approx(0.015)
    assert turned.holds


def test_a_decision_that_was_sure_may_not() -> None:
    turned = agree(*shifted(0.5, clip=1))
    assert (turned.flipped, turned.flipped_sure) == (1, 1)
    assert not turned.holds


@pytest.mark.parametrize(
    "agreement",
    [Agreement(1000, 0.021, 0, 0), Agreement(1000, 0.01, 6, 0), Agreement(1000, 0.01, 1, 1), Agreement(0, 0.0, 0, 0)],
)
def test_what_may_not_serve(agreement: Agreement) -> None:
    assert not agreement.holds


def test_defects_that_are_not_exclusive_are_decided_each_for_itself() -> None:
    reference = np.tile([0.9, 0.505, 0.2], (1000, 1))
    other = reference.copy()
    other[0, 1] = 0.495
    other[1, 0] = 0.4
    assert agree(reference, other, exclusive=False) == Agreement(1000, 0.5, 2, 1)
    assert agree(reference[:1], other[:1], exclusive=False).flipped_sure == 0


@pytest.mark.parametrize("precision", [Precision.bf16, Precision.fp16, Precision.int8_linear, Precision.int8])
def test_a_model_in_a_precision_answers_nearly_as_it_does(precision: Precision) -> None:
    model, clip = tiny_model(3), hum(1.5)
    (before,) = diagnose(model, [clip])
    (after,) = diagnose(in_precision(model, precision), [clip])
    np.testing.assert_allclose(after.probabilities, before.probabilities, atol=0.02)
    assert after.logits != before.logits
    assert diagnose(model, [clip]) == [before]


def test_what_is_offered_is_held_against_fp32() -> None:
    model = tiny_model(3)
    found = agreements(model, [hum(0.6), hum(1.1)], uncalibrated(model.spec))
    assert set(found) == set(offered(model)) == set(Precision) - {Precision.fp32, Precision.fp16}
    assert all(agreement.clips == 2 for agreement in found.values())
    assert all(0 < agreement.difference < 0.1 for agreement in found.values())


def test_whisper_is_not_offered_in_bf16() -> None:
    spec = tiny_spec()
    encoder = {
        "model_type": "whisper_encoder", "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
    }  # fmt: skip
    model = DefectModel(ModelSpec(encoder, spec.classes, spec.letters, spec.marked, normalise=False)).eval()
    assert offered(model) == (Precision.int8_linear, Precision.int8)
    assert on_card(model, Card("NVIDIA H200", 150_000_000_000, bf16=True)) == ()


@pytest.mark.parametrize(
    ("card", "precisions"),
    [
        (Card("NVIDIA H200", 150_000_000_000, bf16=True), (Precision.bf16, Precision.fp16)),
        (Card("Tesla T4", 15_000_000_000, bf16=False), (Precision.fp16,)),
        (Card("Tesla P100", 17_000_000_000, bf16=False, fp16=False), ()),
    ],
)
def test_a_card_offers_what_its_hardware_has(
    card: Card, precisions: tuple[Precision, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speech.defects.precision.device_of", lambda model: "cuda")
    assert offered(tiny_model(), lambda: Hardware((card,))) == precisions


def test_a_precision_that_overflows_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model(3)
    with torch.no_grad():  # of a hidden layer: 1e6 is beyond fp16, and within bf16
        model.encoder.encoder.layers[0].feed_forward.intermediate_dense.bias.fill_(1e6)
    clips = [hum(0.6), hum(1.1)]
    found = agreements(model, clips, uncalibrated(model.spec), (Precision.fp16, Precision.bf16))
    assert set(found) == {Precision.bf16}
    assert found[Precision.bf16].clips == 2
    assert "fp16 gives values that are not finite, so it may not serve" in caplog.text


def test_the_fastest_is_the_one_of_fewest_seconds() -> None:
    assert fastest({Precision.fp32: 0.2, Precision.int8: 0.1, Precision.bf16: 0.3}) is Precision.int8
    assert probe(tiny_model()) > 0
