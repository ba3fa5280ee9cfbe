"""Pictures of a training: losses and validation figures by step."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

_LEFT_OUT = ("runtime", "per_second", "epoch", "step", "grad_norm", "learning_rate", "total_flos", "train_loss")


def loss_curves(history: Sequence[dict[str, float]], title: str) -> bytes:
    """PNG of every figure in a Trainer's log against the step: losses left, other figures right."""
    series: dict[str, list[tuple[float, float]]] = {}
    for line in history:
        for name, value in line.items():
            if not any(part in name for part in _LEFT_OUT):
                series.setdefault(name, []).append((line["step"], value))
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    losses = figure.add_subplot()
    others = losses.twinx() if any("loss" not in name for name in series) else None
    names = {"loss": "training loss", "eval_loss": "validation loss", "eval_macro_f1": "validation macro-F1"}
    for number, (name, points) in enumerate(sorted(series.items())):
        axes = losses if "loss" in name or others is None else others
        axes.plot(*zip(*points, strict=True), marker=".", color=f"C{number}", label=names.get(name, name))
    losses.set(xlabel="step", ylabel="loss", title=title)
    losses.grid(alpha=0.3)
    if others is not None:
        others.set(ylabel="macro-F1", ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return png(figure)


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, small enough for a run's metadata."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()
