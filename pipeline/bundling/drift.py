"""Has what the service is sent moved from what its bundle was trained on? Adds up what the service's workers counted.

The workers leave their counts beside the pointer (`speech.serving.drift`). A figure has drifted where its index is
large, and larger than so few answers and training clips show by chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.bundling.selection import SERVICE, bundle_id
from pipeline.bundling.settings import WatchSettings
from pipeline.markdown import table
from speech.bundles.defects import BundleError, read_metrics
from speech.home import Home
from speech.serving.drift import DriftError, Scale, Tally, by_chance, merged, psi, read_tally, reference, tally_files

_NEW = timedelta(minutes=65)  # an hour, and what a schedule may be late, so that no answer falls between two looks
_MOVED = 2  # bins named per figure, those that weigh most in the index


@dataclass(frozen=True)
class FigureDrift:
    """One figure's index, and what it would be by chance; `moved` are the bins that changed most, in words."""

    figure: str
    answers: float
    index: float
    by_chance: float
    drifted: bool
    moved: str


@dataclass(frozen=True)
class DriftReport:
    """What the check says: of which bundle, over how many answers of how many workers; `left_out` says what files were
    not counted, and why."""

    bundle: str | None
    summary: str
    answers: int = 0
    workers: int = 0
    figures: list[FigureDrift] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no figure has drifted, as far as can be told."""
        return not any(figure.drifted for figure in self.figures)

    def markdown(self) -> str:
        """The figures as a table, those that drifted first."""
        rows = [
            (
                one.figure,
                "drifted" if one.drifted else "as before",
                f"{one.index:.3f}",
                f"{one.by_chance:.3f}",
                f"{one.answers:.0f}",
                one.moved,
            )
            for one in sorted(self.figures, key=lambda one: (not one.drifted, -one.index))
        ]
        header = ("figure", "verdict", "index (PSI)", "by chance up to", "answers", "moved most")
        return table(header, rows) if rows else self.summary


def input_drift(home: Home, settings: WatchSettings, now: datetime | None = None) -> DriftReport:
    """Hold what the service's workers counted against the bundle in service."""
    try:
        name = bundle_id(SERVICE, home)
        folder = home.bundles / name
        known = _reference(folder)
    except BundleError as error:
        return DriftReport(None, f"nothing to compare with: {error}")
    tallies, left_out = _tallies(home, name, (now or datetime.now(UTC)) - timedelta(hours=settings.max_age_hours))
    answers = sum(tally.answers for tally in tallies)
    if answers < settings.least_answers:
        return DriftReport(name, _too_few(answers, name, settings), answers, len(tallies), left_out=left_out)
    figures = [
        _figure(figure, known[figure], counts, settings.max_psi) for figure, counts in merged(tallies, known).items()
    ]
    drifted = [one.figure for one in figures if one.drifted]
    what = f"drifted: {', '.join(sorted(drifted))}" if drifted else f"none of {len(figures)} figures drifted"
    summary = f"{what}; the last {answers} answers of {name}"
    return DriftReport(name, summary, answers, len(tallies), figures, left_out)


def nothing_to_watch(home: Home, settings: WatchSettings, now: datetime | None = None) -> str | None:
    """Why `input_drift` would tell nothing that it did not tell an hour ago; None where it may."""
    now = now or datetime.now(UTC)
    try:
        name = bundle_id(SERVICE, home)
        _reference(home.bundles / name)
    except BundleError as error:
        return f"nothing to compare with: {error}"
    if not _tallies(home, name, now - _NEW)[0]:
        return f"no answer of {name} within the last hour: the service is down, or nobody asks it"
    answers = sum(tally.answers for tally in _tallies(home, name, now - timedelta(hours=settings.max_age_hours))[0])
    return None if answers >= settings.least_answers else _too_few(answers, name, settings)


def _too_few(answers: int, name: str, settings: WatchSettings) -> str:
    return f"{answers} answers of {name} are too few to tell, at least {settings.least_answers} are needed"


def _reference(folder: Path) -> dict[str, Scale]:
    """The bundle's figures. Raises `BundleError`."""
    try:
        return reference(folder, read_metrics(folder))
    except (OSError, ValueError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{folder.name} cannot be read: {error}") from error


def _tallies(home: Home, bundle: str, oldest: datetime) -> tuple[list[Tally], list[str]]:
    """The workers' counts of this bundle since `oldest`, and why other files were left out."""
    taken, left_out = [], []
    for path in tally_files(home):
        try:
            tally = read_tally(path)
        except DriftError as error:
            left_out.append(str(error))
            continue
        if tally.bundle != bundle:
            left_out.append(f"{path.name}: counts of {tally.bundle}")
        elif datetime.fromisoformat(tally.written) < oldest:
            left_out.append(f"{path.name}: nothing new since {tally.written}")
        else:
            taken.append(tally)
    return taken, left_out


def _figure(name: str, scale: Scale, counts: list[float], max_psi: float) -> FigureDrift:
    answers, index, chance = sum(counts), psi(scale, counts), by_chance(scale, counts)
    shares = [number / max(1.0, answers) for number in counts]
    changes = sorted(zip(scale.labels, scale.shares, shares, strict=True), key=lambda one: -abs(one[2] - one[1]))
    moved = "; ".join(f"{label}: {then:.0%} to {now:.0%}" for label, then, now in changes[:_MOVED])
    return FigureDrift(name, answers, index, chance, index >= max_psi and index > chance, moved)
