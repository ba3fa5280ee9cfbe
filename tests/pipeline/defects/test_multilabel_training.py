"""Learning several defects at once: the loss against values worked out by hand, and tones that sound together."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.defects.finetuning import _defect_loss, finetune
from pipeline.defects.imitation import Imitation
from pipeline.defects.multilabel_training import multilabel_loss, positive_weights, validation_macro_f1
from pipeline.defects.pretraining import load_encoder, save_encoder, start_model
from pipeline.defects.settings import ClassWeighting
from pipeline.training.examples import IGNORED, Collator, Example, ExampleSet
from speech.defects.diagnose import diagnose
from speech.defects.spec import ModelSpec
from tests.pipeline.training.test_training import (
    CLASSES,
    LETTERS,
    MARKED,
    encoder_settings,
    head_settings,
    ignore,
    tone,
)

SETS = ((0,), (1,), (2,), (1, 2))


def test_the_loss_is_a_binary_cross_entropy_per_defect() -> None:
    logits = torch.tensor([[9.0, 1.0, -2.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([[0.0, 1.0, 1.0], [-100.0, -100.0, -100.0]])
    loss = multilabel_loss(logits, labels, torch.tensor([5.0, 1.0, 3.0]), reference=0)
    by_hand = (math.log1p(math.exp(-1.0)) + 3.0 * math.log1p(math.exp(2.0))) / 2
    assert loss.item() == pytest.approx(by_hand)
    without = multilabel_loss(logits + torch.tensor([7.0, 0.0, 0.0]), labels, torch.ones(3), reference=0)
    assert without.item() == pytest.approx(multilabel_loss(logits, labels, torch.ones(3), reference=0).item())


def test_without_a_labelled_clip_the_loss_is_zero_and_has_a_gradient() -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    loss = multilabel_loss(logits, torch.full((2, 3), -100.0), torch.ones(3), reference=0)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None


def test_the_logit_of_none_learns_nothing() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    multilabel_loss(logits, torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(3), reference=0).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0.0
    assert (logits.grad[0, 1:] > 0).all()


def test_positive_weights_even_out_rare_defects() -> None:
    assert positive_weights(torch.tensor([5.0, 3, 1, 0]), 8).tolist() == pytest.approx([3 / 5, 5 / 3, 7.0, 1.0])
    assert positive_weights(torch.tensor([999.0, 1]), 1000)[1] == 20.0


def test_imitations_count_where_rare_defects_are_evened_out() -> None:
    """Half of 80 clips without a defect become imitations of the last class, of which the archive has 10."""
    imitation = Imitation(0, (2,), 0.5)
    labels = [*[(0,)] * 80, *[(1,)] * 10, *[(1, 2)] * 10]
    examples = [Example(str(at), lambda: np.zeros(1), 1.0, label=of[0], also=of[1:]) for at, of in enumerate(labels)]
    spec = SimpleNamespace(classes=("none", "burr", "stutter"), exclusive=False)
    logits, known = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]])

    def loss(how: Imitation | None) -> float:
        of, _ = _defect_loss(SimpleNamespace(spec=spec), examples, ClassWeighting.balanced, how)  # type: ignore[arg-type]
        return float(of(logits, known))

    # The loss of a lacking burr and of a stutter, which 50 of 100 clips have with imitations and 10 without them.
    assert loss(imitation) == pytest.approx(np.log(2) * (1 + 1) / 2)
    assert loss(None) == pytest.approx(np.log(2) * (1 + 9) / 2)


def test_macro_f1_counts_none_where_no_defect_is_said() -> None:
    logits = np.array([[-9.0, 1.0, 1.0], [-9.0, -1.0, -1.0], [9.0, 1.0, -1.0], [0.0, 5.0, 5.0]])
    labels = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 1], [IGNORED] * 3], dtype=float)
    # none: right; the first defect: one of two said is there; the second: one of two there is said
    assert validation_macro_f1(logits, labels, 0) == pytest.approx((1.0 + 2 / 3 + 2 / 3) / 3)


def test_batches_hold_every_class_of_a_clip() -> None:
    bare = [Example(str(n), lambda: tone(0, 200.0), 1.0) for n in range(2)]
    both = Example("both", lambda: tone(0, 200.0), 1.0, label=1, also=(2,))
    items = [ExampleSet([example], 2.0, training=False)[0] for example in (both, *bare)]
    labels = Collator(1, normalise=True, several=3)(items)["labels"]
    assert labels.tolist() == [[0.0, 1.0, 1.0], [IGNORED] * 3, [IGNORED] * 3]
    assert Collator(1, normalise=True)(items)["labels"].tolist() == [1, IGNORED, IGNORED]


def together(seed: int) -> Example:
    """A clip with a tone for each of its defects, or a low one for none."""
    labels = SETS[seed % len(SETS)]

    def load() -> np.ndarray:
        tones = [tone(seed, (200.0, 900.0, 2500.0)[label]) for label in labels]
        return np.asarray(sum(tones) / len(tones), dtype=np.float32)

    return Example(f"clip{seed}", load, 1.0, labels[0], also=labels[1:], counts=(labels[0],))


def test_two_tones_at_once_are_both_found(tmp_path: Path) -> None:
    save_encoder(start_model(encoder_settings(), CLASSES, LETTERS, MARKED), tmp_path)
    model = load_encoder(tmp_path, 1, width=16)
    model.spec = ModelSpec.from_dict(model.spec.as_dict() | {"exclusive": False})
    training, validation = [together(i) for i in range(48)], [together(i) for i in range(100, 116)]
    settings = head_settings(epochs=12, augment=False, marker_weight=0.0)
    run = finetune(model, training, validation, settings, tmp_path / "h", ignore, ignore)
    model.eval()
    assert run.best is not None
    assert run.best > 0.8
    test = [together(i) for i in range(200, 216)]
    answers = diagnose(model, [example.load() for example in test])
    right = [answer.named == tuple(CLASSES[i] for i in e.labels) for answer, e in zip(answers, test, strict=True)]
    assert np.mean(right) > 0.8
    assert all(right[3::4])  # those with both
