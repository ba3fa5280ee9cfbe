"""Clips are judged by length and answered in order, in fp32 where half precision does not hold them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pipeline.defects.predictions import CountedClip, predict
from pipeline.defects.pretraining import start_model
from pipeline.evaluation.batches import answers_by_length
from pipeline.settings import Precision
from pipeline.training.hardware import computing
from speech.defects.diagnose import diagnose
from speech.hardware.devices import Card, Hardware
from tests.pipeline.training.test_training import CLASSES, LETTERS, MARKED, encoder_settings, ignore, tone

LENGTHS = (16_000, 9_000, 30_000, 12_000, 21_000, 8_000, 16_500)


def load(samples: int) -> Callable[[], np.ndarray]:
    return lambda: np.resize(tone(samples, 300.0), samples)


def test_batches_by_length_give_what_clips_give_one_by_one() -> None:
    model = start_model(encoder_settings(), CLASSES, LETTERS, MARKED).eval()
    clips = [CountedClip(str(samples), None, load(samples), seconds=samples / 16_000) for samples in LENGTHS]
    together = predict(model, clips, 3, ignore)
    alone = [diagnose(model, [clip.load()])[0] for clip in clips]
    assert [answer.seconds for answer in together] == [clip.seconds for clip in clips]
    np.testing.assert_allclose([a.logits for a in together], [a.logits for a in alone], atol=1e-4)


def test_batches_hold_clips_of_like_length() -> None:
    seen: list[list[int]] = []

    def answer(samples: list[np.ndarray]) -> list[int]:
        seen.append([len(clip) for clip in samples])
        return seen[-1]

    seconds = [samples / 16_000 for samples in LENGTHS]
    assert answers_by_length([load(samples) for samples in LENGTHS], seconds, 3, ignore, answer) == list(LENGTHS)
    assert seen == [[8_000, 9_000, 12_000], [16_000, 16_500, 21_000], [30_000]]


def test_what_half_precision_does_not_hold_is_computed_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def answer(samples: list[np.ndarray]) -> list[int]:
        tries.append(len(samples))
        if len(tries) == 1:
            raise FloatingPointError("the model gave values that are not finite")
        return [len(clip) for clip in samples]

    with pytest.raises(FloatingPointError):
        answers_by_length([load(9_000)], [0.5], 1, ignore, answer)
    tries.clear()
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: True)
    assert answers_by_length([load(9_000)], [0.5], 1, ignore, answer) == [9_000]
    assert tries == [1, 1]


@pytest.mark.parametrize(
    ("wanted", "hardware", "chosen"),
    [
        (Precision.auto, Hardware((Card("a card", 1, bf16=True),)), torch.bfloat16),
        (Precision.auto, Hardware((Card("a card", 1, bf16=False),)), torch.float16),
        (Precision.fp32, Hardware((Card("a card", 1, bf16=True),)), None),
    ],
)
def test_judging_is_in_the_arithmetic_of_training(
    wanted: Precision, hardware: Hardware, chosen: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[torch.dtype] = []

    class Autocast:
        def __init__(self, device: str, dtype: torch.dtype) -> None:
            assert device == "cuda"
            entered.append(dtype)

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(torch, "autocast", Autocast)
    with computing(wanted, "cuda", hardware):
        assert entered == ([chosen] if chosen else [])
    with computing(wanted, "cpu", hardware) as computed_in:
        assert computed_in is Precision.fp32
    assert len(entered) == (1 if chosen else 0)
