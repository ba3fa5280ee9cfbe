"""What a defect model is built of, apart from its weights. Without torch, so that a bundle can be read without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

REFERENCE_CLASS = "none"  # the class of speech without a defect; judged by both heads


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to build the model, apart from its weights.

    `encoder` is a Hugging Face encoder configuration as a dict; `marked` says for each class whether the marker-word
    head judges it; `width` is the size of the heads' inner features, `normalise` whether input has zero mean and unit
    variance per clip; with `echo` the other head knows what each frame repeats; `members` pairs of heads are asked and
    their logits averaged. Classes are `exclusive` where a clip
    has exactly one (softmax); else it has any number of the defects (a sigmoid each), and the logit of
    `REFERENCE_CLASS` means nothing. Longer clips than `window_seconds` are judged in windows; None: whole.
    """

    encoder: dict[str, Any]
    classes: tuple[str, ...]
    letters: tuple[str, ...]
    marked: tuple[bool, ...]
    width: int = 128
    normalise: bool = True
    two_heads: bool = True
    alphabet: str = ""
    exclusive: bool = True
    echo: bool = False
    members: int = 1
    window_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {name: list(getattr(self, name)) for name in ("classes", "letters", "marked")}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> ModelSpec:
        lists = {name: tuple(value[name]) for name in ("classes", "letters", "marked")}
        return ModelSpec(**(value | lists))


def marked_classes(markers: Mapping[str, Sequence[str]]) -> tuple[bool, ...]:
    """For each class (in order) whether the marker-word head judges it: it has letters, or is the reference."""
    return tuple(bool(letters) or name == REFERENCE_CLASS for name, letters in markers.items())
