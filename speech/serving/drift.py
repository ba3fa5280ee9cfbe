"""Drift: how far the sound and the answers of the service have moved from its bundle's training and test clips.

Each figure of a recording falls into a bin between the quantiles that statistics.json holds of the training clips, and
each answer into its class. The counts of the newest answers are compared with the expected shares by the population
stability index: the sum over bins of (p - q) ln(p / q), which is the symmetric Kullback-Leibler divergence. By a common
rule (Siddiqi, Credit Risk Scorecards, 2006) an index up to 0.1 is no change worth a look, and from 0.25 on the
population is another one. Both hold only of an index above what chance alone gives: few answers, or few clips in the
reference, have a large one without a change (`by_chance`). Counts of several workers add up.

Figures are matched by name: a figure is compared where statistics.json holds its quantiles and the recording has it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from speech.bundles.defects import check_id, trained_on
from speech.defects.spec import REFERENCE_CLASS
from speech.defects.training_distance import KEY
from speech.files import read_json, write_json
from speech.home import Home

LEAST_ANSWERS = 100  # fewer and a bin of 1% is expected to hold none
CLASS = "class"  # the figure whose bins are exclusive classes; others stand as class.<name>, a figure each
_NAMED = ("named", "not named")
_PRIOR = 0.5  # answers added to each bin (Jeffreys' prior), or an empty one would make the index infinite
_CHANCE = 0.99  # share of windows without a change whose index is below what chance gives
_PREFIX = "drift-"


class DriftError(ValueError):
    """A file of counts cannot be used; the message names it."""


@dataclass(frozen=True)
class Scale:
    """A figure's bins, the shares of the reference in each, which add up to 1, and their labels.

    `edges` are the rising bounds between bins of numbers; empty where bins are names. `clips` is how many clips the
    shares were counted over, 0 where that is not known: chance then seems smaller than it is.
    """

    shares: tuple[float, ...]
    labels: tuple[str, ...]
    edges: tuple[float, ...] = ()
    clips: int = 0

    def place(self, value: float | str) -> tuple[tuple[int, float], ...]:
        """The bins that a value falls into, with weights that add up to 1; none where it fits no bin.

        A value that equals an edge is divided between the two bins beside it, as the reference is. Where many clips
        have exactly that value, a quantile does not say how many lie on either side.
        """
        if isinstance(value, str):
            return ((self.labels.index(value), 1.0),) if value in self.labels else ()
        if not self.edges or not math.isfinite(value):
            return ()
        bin_ = bisect_left(self.edges, value)
        if bin_ == len(self.edges) or self.edges[bin_] != value:
            return ((bin_, 1.0),)
        below = self.shares[bin_] / (self.shares[bin_] + self.shares[bin_ + 1])
        return (bin_, below), (bin_ + 1, 1 - below)


@dataclass(frozen=True)
class Answer:
    """What is kept of an answer: the recording's figures and the classes named."""

    figures: Mapping[str, float]
    named: tuple[str, ...]

    def value(self, figure: str) -> float | str | None:
        """The answer's value of a figure of `scales`; None where it has none."""
        if figure == CLASS:
            return self.named[0]
        if figure.startswith(f"{CLASS}."):
            return _NAMED[figure.removeprefix(f"{CLASS}.") not in self.named]
        return self.figures.get(figure)


def reference(folder: Path, metrics: Mapping[str, Any]) -> dict[str, Scale]:
    """The figures of the bundle in `folder`, with how many clips each is known from.

    Raises OSError and ValueError where its files are lost.
    """
    statistics = read_json(folder / "statistics.json")
    if not isinstance(statistics, dict):
        raise ValueError(f"{folder.name}/statistics.json holds no figures")
    distance = statistics.get(KEY)
    clips = distance.get("clips") if isinstance(distance, dict) else None
    learned = clips if isinstance(clips, int) else len(trained_on(folder))
    return {name: replace(scale, clips=scale.clips or learned) for name, scale in scales(statistics, metrics).items()}


def scales(statistics: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Scale]:
    """The figures of a bundle that can drift, from its statistics.json and metrics.json."""
    figures = {name: scale for name, entry in statistics.items() if (scale := _of_quantiles(entry))}
    return figures | _of_classes(metrics)


def count(answers: Iterable[Answer], known: Mapping[str, Scale]) -> dict[str, list[float]]:
    """How many answers fall into each bin of each figure; figures that none of them has are left out."""
    counts: dict[str, list[float]] = {}
    for answer in answers:
        for name, scale in known.items():
            value = answer.value(name)
            for bin_, weight in () if value is None else scale.place(value):
                counts.setdefault(name, [0.0] * len(scale.shares))[bin_] += weight
    return counts


def psi(scale: Scale, counts: Sequence[float]) -> float:
    """The population stability index of `counts` per bin against the reference's shares; 0 is no change."""
    total = sum(counts) + _PRIOR * len(counts)
    pairs = ((max(share, 1e-6), (number + _PRIOR) / total) for share, number in zip(scale.shares, counts, strict=True))
    return sum((now - then) * math.log(now / then) for then, now in pairs)


def by_chance(scale: Scale, counts: Sequence[float]) -> float:
    """The index that as many answers of an unchanged population stay below in 99 of 100 windows.

    Divided by 1 / answers + 1 / clips, the index of two samples of one population is distributed as chi squared with
    one degree of freedom less than there are bins.
    """
    from scipy.special import chdtri

    spread = 1 / max(1.0, sum(counts)) + (1 / scale.clips if scale.clips else 0.0)
    return float(chdtri(len(counts) - 1, 1 - _CHANCE)) * spread


@dataclass(frozen=True)
class Tally:
    """One worker's counts over its newest `answers` by one bundle; `written` is UTC, ISO 8601."""

    bundle: str
    worker: str
    written: str
    answers: int
    counts: dict[str, list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]]


_TALLY = TypeAdapter(Tally)


def tally_file(home: Home, worker: str) -> Path:
    """Where a worker's counts stand."""
    return home.serving / f"{_PREFIX}{worker}.json"


def tally_files(home: Home) -> list[Path]:
    """The workers' files of counts, by name."""
    return sorted(home.serving.glob(f"{_PREFIX}*.json"))


def write_tally(home: Home, bundle: str, worker: str, answers: int, counts: Mapping[str, Sequence[float]]) -> None:
    """Replace a worker's file of counts. Raises OSError."""
    rounded = {name: [round(number, 3) for number in numbers] for name, numbers in counts.items()}
    tally = Tally(bundle, worker, datetime.now(UTC).isoformat(timespec="seconds"), answers, rounded)
    write_json(tally_file(home, worker), asdict(tally))


def read_tally(path: Path) -> Tally:
    """A worker's counts. Raises `DriftError` naming the file."""
    try:
        tally = _TALLY.validate_json(path.read_bytes())
        check_id(tally.bundle)
        if datetime.fromisoformat(tally.written).tzinfo is None:
            raise ValueError(f"written: {tally.written!r} has no time zone")
    except (OSError, ValidationError, ValueError) as error:
        raise DriftError(f"{path} holds no counts of a worker; delete it ({error})") from error
    return tally


def merged(tallies: Iterable[Tally], known: Mapping[str, Scale]) -> dict[str, list[float]]:
    """The workers' counts added up, of the figures whose bins are those of `known`."""
    total: dict[str, list[float]] = {}
    for tally in tallies:
        for name, counts in tally.counts.items():
            if name in known and len(known[name].shares) == len(counts):
                before = total.get(name, [0.0] * len(counts))
                total[name] = [a + b for a, b in zip(before, counts, strict=True)]
    return total


def _of_quantiles(entry: object) -> Scale | None:
    """Bins between quantiles, {"0.05": value, …}; None where the entry is something else.

    Quantiles that coincide are left out: so many clips have just that value that none of them says what lies below it.
    """
    if not isinstance(entry, dict):
        return None
    try:
        points = sorted((float(share), float(value)) for share, value in entry.items())
    except (TypeError, ValueError):
        return None
    values = [value for _, value in points]
    fits = all(0 < share < 1 for share, _ in points) and all(map(math.isfinite, values)) and values == sorted(values)
    points = [point for point in points if values.count(point[1]) == 1]
    if not fits or not points:
        return None
    edges = tuple(value for _, value in points)
    bounds = [0.0, *(share for share, _ in points), 1.0]
    between = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return Scale(
        tuple(high - low for low, high in pairwise(bounds)),
        (f"below {edges[0]:.4g}", *between, f"above {edges[-1]:.4g}"),
        edges,
    )


def _of_classes(metrics: Mapping[str, Any]) -> dict[str, Scale]:
    """The classes named on the test split, right or wrong: like is compared with like."""
    classes, confusion, rows = metrics.get("classes"), metrics.get("confusion"), metrics.get("per_class")
    if isinstance(classes, list) and isinstance(confusion, list):
        named = [sum(row[i] for row in confusion) for i in range(len(classes))]
        return {CLASS: Scale(_shares(named), tuple(classes), clips=sum(named))} if sum(named) else {}
    found = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        if name == REFERENCE_CLASS or "true_positive" not in row:
            continue
        named = [row["true_positive"] + row["false_positive"], row["true_negative"] + row["false_negative"]]
        found[f"{CLASS}.{name}"] = Scale(_shares(named), _NAMED, clips=sum(named))
    return found


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    """Shares of a small sample: a class never named in it is expected now and then (Jeffreys' prior)."""
    total = sum(counts) + _PRIOR * len(counts)
    return tuple((number + _PRIOR) / total for number in counts)
