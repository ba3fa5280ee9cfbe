"""A few test clips to look at: what was recorded, which letters the model hears, and where it places each defect."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from PIL import Image

from pipeline.defects.predictions import LabelledClip
from speech.audio.decode import SAMPLE_RATE
from speech.defects.calibration import Verdict
from speech.defects.diagnose import Diagnosis
from speech.defects.model import GATE_REACH_SECONDS
from speech.defects.spec import REFERENCE_CLASS

RULE = (
    "of each kind (judged outright and right, judged outright and wrong, unsure) the clip whose content's sha256 is "
    "lowest; where a kind has none, the next lowest of all others"
)
KINDS = ("right", "wrong", "unsure")
_COLUMNS = 500  # of a waveform; more would not be seen
_SIZE = (9.0, 2.3)  # inches, of the whole width and of one clip's height
_DPI = 100
_TITLE_WIDTH = 70  # letters that fit beside the clip's id
_COLOURS = 128
_DEFECTS, _LETTERS = colormaps["Set1"].colors, colormaps["Dark2"].colors  # type: ignore[attr-defined]
_SOUND = "0.45"
_LOWEST_TOP = 0.4  # of the scale for letters: what is heard faintly is to look faint


@dataclass(frozen=True)
class Exhibit:
    """A clip, its diagnosis, and what kind of answer that is: one of `KINDS`."""

    clip: LabelledClip
    answer: Diagnosis
    kind: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for the metrics."""
        return {"clip": self.clip.clip, "kind": self.kind, "labels": list(self.clip.labels), "named": self.named}

    @property
    def named(self) -> dict[str, float]:
        """The probability of each class named."""
        return {name: self.answer.probabilities[self.answer.classes.index(name)] for name in self.answer.named}


def kind_of(clip: LabelledClip, answer: Diagnosis) -> str:
    """`unsure` where some defect is, else `right` where the classes named are all that the clip has and no other, or
    `wrong`."""
    if Verdict.unsure in answer.verdicts.values():
        return "unsure"
    return "right" if set(answer.named) == set(clip.labels) else "wrong"


def choose(clips: Sequence[LabelledClip], answers: Sequence[Diagnosis]) -> list[Exhibit]:
    """At most one clip for each of `KINDS` by `RULE`, in the order of `KINDS`; fewer where there are fewer clips."""
    pairs = zip(clips, answers, strict=True)
    left = sorted((Exhibit(c, a, kind_of(c, a)) for c, a in pairs), key=lambda exhibit: exhibit.clip.content)
    chosen = []
    for kind in KINDS:
        chosen += [exhibit for exhibit in left if exhibit.kind == kind][:1]
    left = [exhibit for exhibit in left if exhibit not in chosen]
    chosen += left[: len(KINDS) - len(chosen)]
    return sorted(chosen, key=lambda exhibit: KINDS.index(exhibit.kind))


def showcase_picture(exhibits: Sequence[Exhibit]) -> bytes:
    """PNG of each clip's waveform and letters over time, with the places of defects over both. Reads their sound."""
    figure = Figure(figsize=(_SIZE[0], 1.1 + _SIZE[1] * len(exhibits)), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.02)  # type: ignore[union-attr, call-arg]
    figure.suptitle("Test clips, the first of each kind of answer in the order of their hashes", fontsize="medium")
    rows = figure.add_gridspec(len(exhibits), 1)
    classes = exhibits[0].answer.classes
    defects = {name: _DEFECTS[i % len(_DEFECTS)] for i, name in enumerate(c for c in classes if c != REFERENCE_CLASS)}
    letters = {letter: _LETTERS[i % len(_LETTERS)] for i, letter in enumerate(exhibits[0].answer.markers)}
    heard = [_heard(exhibit.answer) for exhibit in exhibits] if letters else []
    top = max([_LOWEST_TOP, *(float(curves.max(initial=0.0)) for curves in heard)])
    for number, exhibit in enumerate(exhibits):
        parts = rows[number].subgridspec(2 if letters else 1, 1, hspace=0.0)
        panels = [figure.add_subplot(parts[row]) for row in range(parts.nrows)]
        _waveform(panels[0], exhibit)
        if letters:
            _letters(panels[1], exhibit, heard[number], letters)
            panels[1].set_ylim(0, 1.1 * top)
        for axes in panels:
            axes.set_xlim(0, exhibit.answer.seconds)
            for place in exhibit.answer.places:
                axes.axvspan(place.start, place.end, color=defects[place.defect], alpha=0.3, linewidth=0)
            axes.tick_params(labelbottom=axes is panels[-1], labelsize="small")
    panels[-1].set_xlabel("seconds")
    keys: list[Artist] = [Line2D([], [], color=colour, label=f"{letter} heard") for letter, colour in letters.items()]
    keys += [Patch(color=colour, alpha=0.3, label=f"place of {name}") for name, colour in defects.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 5), frameon=False, fontsize="small")
    return _small_png(figure)


def _small_png(figure: Figure) -> bytes:
    """PNG with a palette, a third of the size: it goes into a run's metadata, and speech compresses badly."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    image = Image.open(buffer).convert("RGB")
    # By coverage: a median cut drops a colour that only the legend and a narrow place have.
    image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE).save(small, "png", optimize=True)
    return small.getvalue()


def _waveform(axes: Axes, exhibit: Exhibit) -> None:
    """The clip's sound, scaled to its own peak, under a title that says what is true and what was named."""
    samples = exhibit.clip.load()
    parts = np.array_split(samples, min(_COLUMNS, len(samples)))
    times = np.cumsum([len(part) for part in parts]) / SAMPLE_RATE
    low, high = [part.min() for part in parts], [part.max() for part in parts]
    axes.fill_between(times, low, high, color=_SOUND, linewidth=0.3)
    peak = max(float(np.abs(samples).max()), 1e-6)
    axes.set(ylim=(-1.1 * peak, 1.1 * peak), yticks=[])
    axes.set_ylabel("sound", fontsize="small")
    axes.set_title(title_of(exhibit), loc="left", fontsize="medium", parse_math=False)
    axes.set_title(f"clip {exhibit.clip.clip}", loc="right", fontsize="small", color="0.5")


def title_of(exhibit: Exhibit) -> str:
    """What kind of answer it is, what is true, and what was named with which probability; in lines."""
    verb = "most probable" if exhibit.kind == "unsure" else "named"
    named = " + ".join(f"{name} ({probability:.2f})" for name, probability in exhibit.named.items())
    title = f"{exhibit.kind}: true {' + '.join(exhibit.clip.labels)}, {verb} {named}"
    return textwrap.fill(title, _TITLE_WIDTH)


def _letters(axes: Axes, exhibit: Exhibit, heard: np.ndarray, colours: dict[str, Any]) -> None:
    """How probably each marker letter sounds, over time, and how many are counted in all."""
    answer, known = exhibit.answer, exhibit.clip.counts
    times = (np.arange(len(heard)) + 0.5) * answer.frame_seconds
    for column, (letter, colour) in enumerate(colours.items()):
        count = f"{letter} {answer.markers[letter]:.1f}" + ("" if known is None else f"\n(transcript: {known[letter]})")
        axes.plot(times, heard[:, column], color=colour, linewidth=1.2, label=count)
    axes.set_ylabel("probability", fontsize="small")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small", handlelength=1.0)


def _heard(answer: Diagnosis) -> np.ndarray:
    assert answer.intensity is not None
    return nearby(answer.intensity, answer.frame_seconds)


def nearby(intensity: np.ndarray, frame_seconds: float) -> np.ndarray:
    """(frames, letters), 0 to 1: how probably each letter sounds within reach of the gate around each frame.

    Counts with intensity λ are Poisson, so nothing sounds with probability exp(-Σλ) over the window.
    """
    reach = max(1, round(GATE_REACH_SECONDS / frame_seconds))
    padded = np.pad(intensity, ((reach, reach), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return 1.0 - np.exp(-windows.sum(-1))
