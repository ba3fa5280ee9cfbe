"""Shares of clips with intervals, and the F1 of pairs of which one half is stuttered."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import beta

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """`hits` of `of` clips."""

    hits: int = 0
    of: int = 0

    def counted(self, hit: bool) -> Share:
        """With one clip more."""
        return Share(self.hits + hit, self.of + 1)

    @property
    def value(self) -> float:
        """From 0 to 1; 0 of no clips."""
        return self.hits / max(1, self.of)

    @property
    def interval(self) -> tuple[float, float]:
        """Exact two-sided interval (Clopper and Pearson 1934) over clips, not over speakers."""
        out = (1 - CONFIDENCE) / 2
        low = float(beta.ppf(out, self.hits, self.of - self.hits + 1)) if self.hits else 0.0
        high = float(beta.ppf(1 - out, self.hits + 1, self.of - self.hits)) if self.hits < self.of else 1.0
        return low, high

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.value:.1%} [{low:.1%}, {high:.1%}]"


@dataclass(frozen=True)
class Told:
    """What was said of stuttered clips and of fluent ones: which share of each was called stuttered."""

    stuttered: Share
    fluent: Share

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of "stuttered"."""
        return 2 * self.stuttered.hits / max(1, self.stuttered.of + self.stuttered.hits + self.fluent.hits)
