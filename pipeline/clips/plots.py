"""Two small pictures for the validation report; small because run metadata keeps them in the event log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

UNLABELLED = "unlabelled"
_DPI = 80
_SIZE = (6.4, 3.2)  # inches
_COLOURS = {"train": "#4c78a8", "validation": "#f2a541", "test": "#54a24b"}


def plot_durations(path: Path, seconds: Sequence[float]) -> None:
    """Histogram of clip lengths in seconds, as PNG."""
    from matplotlib.figure import Figure  # slow to import, and most users of this package draw nothing

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.hist(seconds, bins=30, color=_COLOURS["train"])
    axes.set(xlabel="length, s", ylabel="clips", title="Lengths of the clips")
    figure.savefig(path, dpi=_DPI, format="png")


def plot_classes(path: Path, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Bars of clips per class, stacked by split, as PNG; `counts` is split -> class -> clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    every = next(iter(counts.values()), {})
    names = [name for name in every if name != UNLABELLED or any(of_class[name] for of_class in counts.values())]
    below = [0] * len(names)
    for split, of_class in counts.items():
        heights = [of_class[name] for name in names]
        axes.bar(names, heights, bottom=below, color=_COLOURS.get(split, "#9d9d9d"), label=split)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set(ylabel="clips", title="Clips by class and split")
    axes.legend()
    figure.savefig(path, dpi=_DPI, format="png")
