"""Unheard clips that a demonstration shows: one of each class, and whether the service's answer is right.

The evaluation chooses them by their hashes, not by their answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.recorded_metrics import RecordedMetricError
from deploy.demo.service_client import Answer
from speech.defects.spec import REFERENCE_CLASS

_ENTRY = "examples"
_COLUMNS = ("class", "file", "labelled", "the service says", "")


@dataclass(frozen=True)
class ExampleClip:
    """A test clip of a class: its file in the archive, its labels, and its sound on this machine. A class of which no
    labelled clip is in the test split has no `sound`."""

    name: str
    file: str = ""
    labels: tuple[str, ...] = ()
    sound: Path | None = None


def read_example_clips(metadata: Mapping[str, Any]) -> list[ExampleClip]:
    """One for each class, in their order, of the metadata of the asset `evaluation`; none where it has recorded none.
    Raises `RecordedMetricError`."""
    if _ENTRY not in metadata:
        return []
    try:
        return [_example_clip(row) for row in json.loads(metadata[_ENTRY])]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordedMetricError(f"the run's {_ENTRY} of the asset evaluation cannot be read ({error!r})") from error


def _example_clip(row: Mapping[str, Any]) -> ExampleClip:
    if "sound" not in row:
        return ExampleClip(str(row["class"]))
    return ExampleClip(str(row["class"]), str(row["file"]), tuple(map(str, row["labels"])), Path(row["sound"]))


def right(clip: ExampleClip, answer: Answer) -> bool:
    """Whether the service names all classes that the clip is labelled with, and no other."""
    return set(answer.named) == set(clip.labels)


def said(answer: Answer) -> str:
    """The classes named with their probabilities, and the verdict on each defect among them; where there is none, on
    those that are not ruled out."""
    named = ", ".join(f"{name} {answer.probabilities[name]:.2f}" for name in answer.named)
    defects = [name for name in answer.named if name != REFERENCE_CLASS]
    told = {name: word for name, word in answer.verdicts.items() if name in defects or (not defects and word != "no")}
    verdicts = ", ".join(f"{name}: {word}" for name, word in told.items())
    return f"{named} ({verdicts})" if verdicts else named


def table(example_clips: Sequence[ExampleClip], answers: Sequence[Answer | None]) -> str:
    """A line for each class: its clip, the labels and the answer to it, right or wrong; `answers` has None where there
    is no clip."""
    rows = [_COLUMNS]
    for clip, answer in zip(example_clips, answers, strict=True):
        if answer is None:
            rows.append((clip.name, "no labelled clip of it is in the test split", "", "", ""))
        else:
            mark = "✓" if right(clip, answer) else "✗"
            rows.append((clip.name, clip.file, " and ".join(clip.labels), said(answer), mark))
    whole = [row for row in rows if row[-1] or row is _COLUMNS]  # what else stands in a line widens no column
    widths = [max(len(row[column]) for row in whole) for column in range(len(_COLUMNS))]
    widths[0] = max(len(row[0]) for row in rows)
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(f"  {line}" for line in lines)
