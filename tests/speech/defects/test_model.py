from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from speech.defects.model import DefectModel, Frames, collate, encoder_config
from speech.defects.spec import marked_classes
from tests.bundles import CLASSES, ENCODER, MARKERS, tiny_model, tiny_spec
from tests.recordings import RATE, hum

GATED, FREE = slice(3, 7), slice(7, 12)  # frames with gate 1 and with gate 0; frames 0 to 2 lie between


@pytest.fixture
def frames() -> Frames:
    torch.manual_seed(1)
    return Frames(torch.randn(3, 1, 12, 32), torch.ones(1, 12, dtype=torch.bool))


@pytest.fixture
def gate() -> torch.Tensor:
    gate = torch.full((1, 12), 0.4)
    gate[:, GATED], gate[:, FREE] = 1.0, 0.0
    return gate


def changed(frames: Frames, where: slice) -> Frames:
    hidden = frames.hidden.clone()
    hidden[:, :, where] += 5 * torch.randn_like(hidden[:, :, where])
    return Frames(hidden, frames.mask)


@torch.inference_mode()
def test_marker_word_head_ignores_frames_outside_its_gate(frames: Frames, gate: torch.Tensor) -> None:
    head = tiny_model().marker_words
    before = head(frames.hidden, gate).evidence
    assert torch.equal(before, head(changed(frames, FREE).hidden, gate).evidence)
    assert not torch.allclose(before, head(changed(frames, GATED).hidden, gate).evidence)


@torch.inference_mode()
def test_other_words_head_ignores_frames_of_marker_letters(frames: Frames, gate: torch.Tensor) -> None:
    head = tiny_model().other_words
    before = head(frames.hidden, 1 - gate).evidence
    assert torch.equal(before, head(changed(frames, GATED).hidden, 1 - gate).evidence)
    assert not torch.allclose(before, head(changed(frames, FREE).hidden, 1 - gate).evidence)


@torch.inference_mode()
def test_a_head_that_hears_repeats_ignores_frames_of_marker_letters_too(frames: Frames, gate: torch.Tensor) -> None:
    torch.manual_seed(0)
    head = DefectModel(replace(tiny_spec(), echo=True)).eval().other_words
    before = head(frames.hidden, 1 - gate).evidence
    assert torch.equal(before, head(changed(frames, GATED).hidden, 1 - gate).evidence)
    assert not torch.allclose(before, head(changed(frames, FREE).hidden, 1 - gate).evidence)


@torch.inference_mode()
def test_judge_gives_each_head_its_own_frames(frames: Frames, gate: torch.Tensor) -> None:
    model = tiny_model()
    silence = {"marker_words": FREE, "other_words": GATED}
    for name, where in silence.items():
        alone = tiny_model()
        muted = "other_words" if name == "marker_words" else "marker_words"
        getattr(alone, muted).classes.weight.zero_()
        getattr(alone, muted).classes.bias.zero_()
        assert torch.equal(alone.judge(frames, gate)[0], alone.judge(changed(frames, where), gate)[0]), name
    assert not torch.equal(model.judge(frames, gate)[0], model.judge(changed(frames, FREE), gate)[0])


@torch.inference_mode()
def test_marker_word_head_has_no_say_on_unmarked_classes(frames: Frames, gate: torch.Tensor) -> None:
    model = tiny_model()
    (before,) = model.judge(frames, gate)[0]
    model.marker_words.classes.bias += 7.0
    (after,) = model.judge(frames, gate)[0]
    stutter = CLASSES.index("stutter")
    assert torch.equal(before[:, stutter], after[:, stutter])
    assert not torch.isclose(before, after)[:, :stutter].any()


@torch.inference_mode()
def test_gate_is_a_probability_and_reaches_forty_milliseconds() -> None:
    model = tiny_model()
    intensity = torch.zeros(1, 50, 2)
    intensity[0, 20, 0] = 3.0
    gate = model.gate(intensity)
    assert gate.min() >= 0.0
    assert gate.max() <= 1.0
    reach = round(0.04 / model.frame_seconds)
    assert gate[0].nonzero().flatten().tolist() == list(range(20 - reach, 20 + reach + 1))
    assert gate[0, 20].item() == pytest.approx(1 - torch.exp(torch.tensor(-3.0)).item())


def test_no_gradient_passes_through_the_gate() -> None:
    intensity = torch.rand(1, 10, 2, requires_grad=True)
    assert not tiny_model().gate(intensity).requires_grad


@pytest.mark.parametrize("samples", [400, 8000, 8001, 15_999, 16_000, 48_123, 960_000])
@pytest.mark.parametrize("stock", [True, False])
def test_frame_count_is_hugging_faces_own(samples: int, stock: bool) -> None:
    kernels, strides = [10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]
    layout: dict[str, Any] = {"conv_dim": [16] * 7, "conv_kernel": kernels, "conv_stride": strides}
    model = tiny_model(**(layout if stock else {}))
    expected = model.encoder._get_feat_extract_output_lengths(torch.tensor([samples]))
    assert torch.equal(model.frame_count(torch.tensor([samples])), expected.clamp(min=1))
    assert model.frame_seconds == pytest.approx(0.02)


@torch.inference_mode()
def test_frame_count_is_what_the_encoder_makes() -> None:
    model = tiny_model()
    sound, lengths = collate([hum(0.737), hum(1.2)])
    frames = model.encode(sound, lengths)
    assert frames.mask.sum(1).tolist() == model.frame_count(lengths).tolist()
    assert frames.hidden.shape[2] == int(model.frame_count(lengths).max())


@torch.inference_mode()
def test_intensity_is_zero_outside_the_clip() -> None:
    model = tiny_model()
    output = model(*collate([hum(0.8), hum(2.0)]))
    inside = int(output.mask[0].sum())
    assert (output.intensity[0, inside:] == 0).all()
    assert (output.intensity[0, :inside] > 0).all()
    assert ((output.gate >= 0) & (output.gate <= 1)).all()


def test_each_clip_is_normalised_by_itself() -> None:
    quiet = hum(1.0) * 0.2 + 0.3
    sound, lengths = collate([quiet, hum(2.0)])
    values = sound[0, : lengths[0]]
    assert values.mean().item() == pytest.approx(0.0, abs=1e-4)
    assert values.std().item() == pytest.approx(1.0, abs=1e-2)
    assert (sound[0, lengths[0] :] == 0).all()


def test_short_clips_are_padded_to_half_a_second() -> None:
    sound, lengths = collate([hum(0.1)])
    assert sound.shape == (1, RATE // 2)
    assert lengths.tolist() == [RATE // 2]


def test_input_is_left_as_it_is_where_the_encoder_wants_it_so() -> None:
    clip = hum(1.0)
    sound, _ = collate([clip], normalise=False)
    assert torch.equal(sound[0], torch.from_numpy(clip))


def test_model_spec_survives_being_written() -> None:
    spec = tiny_spec()
    assert type(spec).from_dict(spec.as_dict()) == spec


def test_reference_class_is_judged_by_both_heads() -> None:
    assert dict(zip(CLASSES, marked_classes(MARKERS), strict=True)) == {
        "none": True,
        "burr": True,
        "fricative_g": True,
        "stutter": False,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [({}, "model_type"), ({"model_type": "bert"}, "no encoder of raw sound"), ({"model_type": "nothing"}, "nothing")],
)
def test_configurations_that_are_no_speech_encoder_are_refused(value: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder_config(value)


@pytest.mark.parametrize("key", ["auto_map", "attn_implementation", "_attn_implementation"])
def test_an_encoder_configuration_cannot_name_code(key: str) -> None:
    config = encoder_config(ENCODER | {key: "someone/kernel"})
    assert "someone/kernel" not in str(config.to_dict()) + str(config._attn_implementation)


def test_one_head_judges_all_frames(frames: Frames, gate: torch.Tensor) -> None:
    model = DefectModel(replace(tiny_spec(), two_heads=False)).eval()
    (logits,), (evidence, _, _) = model.judge(frames, gate)
    (others,), _ = model.judge(frames, torch.zeros_like(gate))
    assert torch.equal(logits, others)
    assert torch.allclose(evidence.sum(1) + model.other_words.classes.bias, logits, atol=1e-5)
    everywhere = changed(frames, slice(None))
    assert not torch.allclose(model.judge(everywhere, gate)[0][0], logits)


@torch.inference_mode()
def test_a_frames_scores_come_from_the_head_that_judges_the_class(frames: Frames, gate: torch.Tensor) -> None:
    model = tiny_model()
    _, before = model.judge(frames, gate)
    assert not before.scores[..., CLASSES.index("none")].any()
    model.marker_words.classes.weight[CLASSES.index("burr")] += 1.0
    model.marker_words.classes.weight[CLASSES.index("stutter")] += 1.0
    _, after = model.judge(frames, gate)
    moved = ~torch.isclose(before.scores, after.scores).all(1).all(0)
    assert [name for name, has in zip(CLASSES, moved.tolist(), strict=True) if has] == ["burr"]


def test_a_model_that_spells_counts_by_what_it_spells() -> None:
    alphabet = "абвгр"
    model = DefectModel(replace(tiny_spec(), alphabet=alphabet)).eval()
    with torch.inference_mode():
        output = model(*collate([hum(1.0), hum(0.6)]))
    assert output.spelling is not None
    assert output.spelling.shape == (*output.mask.shape, 1 + len(alphabet))
    assert torch.allclose(output.spelling.exp().sum(-1), torch.ones(output.mask.shape), atol=1e-5)
    expected = output.spelling[..., [5, 4]].exp() * output.mask.unsqueeze(-1)  # р and г
    assert torch.allclose(output.intensity, expected)
    assert tiny_model()(*collate([hum(1.0)])).spelling is None


@torch.inference_mode()
def test_a_spelled_letter_counts_once_however_long_it_lasts() -> None:
    heard = torch.tensor([0.0, 0.9, 1.0, 0.9, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 0.0]).reshape(1, -1, 1)
    spec = replace(tiny_spec(), letters=("р",), alphabet="абр")
    assert DefectModel(spec).count(heard).item() == pytest.approx(2.0)
    assert DefectModel(replace(spec, alphabet="")).count(heard).item() == pytest.approx(heard.sum().item())


@torch.inference_mode()
def test_pairs_of_heads_are_averaged() -> None:
    torch.manual_seed(0)
    model = DefectModel(replace(tiny_spec(), members=3)).eval()
    output = model(torch.randn(2, 16_000), torch.tensor([16_000, 12_000]))
    assert output.members.shape == (3, 2, 4)
    assert torch.allclose(output.members.mean(0), output.logits)
    assert not torch.allclose(output.members[0], output.members[1])
    bias = (
        sum(pair.other_words.classes.bias + model.marked * pair.marker_words.classes.bias for pair in model.heads) / 3
    )
    assert torch.allclose(output.evidence.sum(1) + bias, output.logits, atol=1e-5)
