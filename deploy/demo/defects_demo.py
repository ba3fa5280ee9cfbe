"""The end of the defects' demonstration: a test clip is posted, and its answer shown beside the test scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from deploy.demo.defects_criteria import MARGIN, Scores, read_scores, shortcomings
from deploy.demo.example_clips import read_example_clips, table
from deploy.demo.service_client import LOAD_SECONDS, Answer, Service
from deploy.demo.training import Metadata, entry, say

_BAR = 30  # characters of a bar that stands for probability 1


def ask(console: Console, service: Service, metadata: Metadata, check: Callable[[], None]) -> list[str]:
    """Wait for the run's bundle to serve, post a test clip, print everything; returns what falls short."""
    bundle = entry(metadata, "bundle", "bundle_id")
    scores = read_scores(metadata.get("evaluation", {}))
    clip = Path(entry(metadata, "evaluation", "example_clip"))
    label = metadata["evaluation"].get("example_label")
    since = time.monotonic()
    service.wait_for(bundle, LOAD_SECONDS, check)
    say(console, f"\nbundle {bundle} in service {time.monotonic() - since:.1f} s after the run's end")
    answer = service.predict(clip)
    say(console, f"\n{clip}, a test clip that nothing was trained on, {answer.seconds:.1f} s; labelled {label}:")
    say(console, bars(answer))
    show_each_class(console, service, metadata)
    say(console, score_lines(scores))
    return shortcomings(bundle, answer.bundle, scores)


def show_each_class(console: Console, service: Service, metadata: Metadata) -> None:
    """Post a test clip of each class and print whether the answers are right.

    Raises `RecordedMetricError`, `ServiceError`.
    """
    example_clips = read_example_clips(metadata.get("evaluation", {}))
    if not example_clips:
        return
    answers = [service.predict(clip.sound) if clip.sound else None for clip in example_clips]
    say(console, "\na test clip of each class, the first by its hash and not chosen by its answer:")
    say(console, table(example_clips, answers))


def bars(answer: Answer) -> str:
    """The answer as lines, one per class, with a bar as long as its probability."""
    width = max(map(len, answer.probabilities))
    lines = []
    for name, probability in answer.probabilities.items():
        mark = "  ←" if name == answer.name else ""
        lines.append(f"  {name:<{width}}  {probability:5.3f}  {'█' * round(probability * _BAR)}{mark}")
    return "\n".join([*lines, f"  answered by bundle {answer.bundle}"])


def score_lines(scores: Scores) -> str:
    """The test scores beside what they must beat."""
    lines = [
        "\ntest split                majority / mean",
        f"  macro-F1            {scores.macro_f1:6.3f}   {scores.majority_macro_f1:6.3f}  (at least {MARGIN} above)",
    ]
    if scores.marker_mae is None or scores.marker_mae_of_mean is None:
        lines.append(f"  marker count error  could not be measured: {scores.unmeasured}")
    else:
        lines.append(f"  marker count error  {scores.marker_mae:6.3f}   {scores.marker_mae_of_mean:6.3f}  (below)")
    return "\n".join(lines)
