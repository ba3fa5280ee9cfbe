"""From the judged windows of a long recording to one verdict a channel.

The probability of a class is the mean of the windows' calibrated probabilities, each weighted by its seconds of speech:
the probability at a moment of speech drawn at random. Where the windows' probabilities are calibrated, their mean is,
however much windows of one speaker depend on each other. A product would treat each window as new evidence, and make
every hour certain of something; one minus the product of absences would do the same.

A window without a defect's marker letters says nothing of that defect, so not every window is evidence of every class:

    independent defects  each is judged by the windows in which it could be; the probability of no defect is that all
                         are absent, as in `speech.defects.multilabel`
    exclusive classes    they share one distribution, so all are judged by the windows in which all could be or, where
                         there are none, by those in which most could be

The bundle's calibration then decides as it does for a clip: yes, no or unsure. Where most of the recording
is unlike the training clips, the verdict is at most unsure, as on a clip that is unlike them. A defect in part of a
recording has a mean of about that part, so the verdict on the whole may be unsure or no. `shares` and `partly` tell of
it all the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from speech.audio.decode import Quality
from speech.audio.quality import UNLIKE_TRAINING, Caution, loss_cautions
from speech.defects.calibration import IDENTITY, Verdict, doubted
from speech.defects.judged_window import UNSURE, JudgedWindow, decided, most_probable, read_fields, stored_fields
from speech.defects.multilabel import AnyCalibration, MultilabelCalibration, present
from speech.defects.spec import REFERENCE_CLASS
from speech.defects.training_distance import Distance
from speech.longform.cutter import Channel, RecordingSummary

HEARD_AGAIN = 2  # windows; a defect heard once in hours may be a slip of the tongue, or of the model

Evidence = Mapping[str, Sequence[JudgedWindow]]
"""Class to the windows by which it is judged."""


@dataclass(frozen=True)
class RecordingVerdict:
    """What is said of one channel of a recording. A channel without speech has no classes and no label."""

    channel: Channel
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """In the order of `classes`."""
    labels: tuple[str, ...]
    """As in `JudgedWindow`."""
    verdicts: Mapping[str, Verdict]
    """Defect class to its verdict."""
    partly: tuple[str, ...]
    """Defects that are no label of the whole, but are one of `HEARD_AGAIN` windows or more, the most frequent first."""
    shares: Mapping[str, float]
    """Class, or `unsure`, to the share, 0 to 1, of speech with that label. Only windows that could judge it count."""
    judged_seconds: Mapping[str, float]
    """Class to the seconds of speech on which its probability rests."""
    seconds: float
    """Of the recording."""
    speech_seconds: float
    windows: int
    """How many there are."""
    quality: Quality
    cut_short: bool = False
    exclusive: bool = True
    unlike_training: Distance | None = None
    """How far the channel is from the training clips; None where the bundle does not know them, or nobody speaks."""
    warnings: tuple[Caution, ...] = ()
    """Why the verdict may be worth less: something is missing, or it is unlike the training clips."""

    @property
    def label(self) -> str | None:
        """The most probable of `labels`; None where there is no speech."""
        return most_probable(self.labels, self.classes, self.probabilities) if self.labels else None

    @property
    def unsure(self) -> bool:
        """Whether something is open: nothing could be judged, or a verdict is `unsure`."""
        return not self.labels or Verdict.unsure in self.verdicts.values() or UNSURE in self.labels

    @property
    def speech_share(self) -> float:
        """The share of the recording, 0 to 1, that is speech."""
        return min(1.0, self.speech_seconds / self.seconds) if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with `label`, `unsure` and `speech_share`; `from_dict` reads it back."""
        shown = {"label": self.label, "unsure": self.unsure, "speech_share": self.speech_share}
        far = None if self.unlike_training is None else self.unlike_training.as_dict()
        warnings = [asdict(one) for one in self.warnings]
        told = {"quality": self.quality.as_dict(), "unlike_training": far, "warnings": warnings}
        return stored_fields(self) | shown | told

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> RecordingVerdict:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        warnings = tuple(Caution(**one) for one in value.get("warnings", ()))
        far = value.get("unlike_training")
        read = {
            "quality": Quality(**value["quality"]),
            "unlike_training": Distance.from_dict(far) if far else None,
            "warnings": warnings,
        }
        return RecordingVerdict(**read_fields(value, ("label", "unsure", "speech_share")) | read)


def judge_recording(
    windows: Sequence[JudgedWindow],
    summary: RecordingSummary,
    channel: Channel = None,
    calibration: AnyCalibration | None = None,
    unlike_training: Distance | None = None,
) -> RecordingVerdict:
    """The verdict on one channel; windows of other channels are passed over.

    `calibration` is the bundle's, as for `speech.defects.diagnose.diagnose`: it decides when a probability suffices.
    `unlike_training` is the channel's distance from the training clips, where that is known (`channel_distance`); of
    one that is unlike them the windows are `doubted_window`s.

    Raises KeyError for a channel that was not judged, ValueError where windows differ in their classes or the
    calibration is not for such classes.
    """
    nothing = _without_speech(summary, channel)
    windows = [window for window in windows if window.channel == channel]
    if not windows:
        return nothing
    classes, exclusive = windows[0].classes, windows[0].exclusive
    if any((window.classes, window.exclusive) != (classes, exclusive) for window in windows):
        raise ValueError("windows of one recording must be judged by one model: their classes differ")
    calibration = calibration or (IDENTITY if exclusive else MultilabelCalibration(classes))
    if calibration.exclusive != exclusive:
        raise ValueError("the calibration is for exclusive classes, or the windows are, but not both")
    evidence = _evidence(windows, classes, exclusive)
    probabilities = _probabilities(evidence, classes, exclusive)
    verdicts = _verdicts(windows, classes, probabilities, calibration)
    warnings = nothing.warnings
    if unlike_training is not None and unlike_training.unlike:
        verdicts, warnings = doubted(verdicts), (*warnings, UNLIKE_TRAINING)
    labels = decided(_named(classes, probabilities, exclusive), verdicts)
    return replace(
        nothing,
        classes=classes,
        probabilities=probabilities,
        labels=labels,
        verdicts=verdicts,
        partly=_partly(windows, classes, labels),
        shares=_shares(windows, classes),
        judged_seconds={name: round(sum(_weights(those)), 3) for name, those in evidence.items()},
        windows=len(windows),
        exclusive=exclusive,
        unlike_training=unlike_training,
        warnings=warnings,
    )


def _without_speech(summary: RecordingSummary, channel: Channel) -> RecordingVerdict:
    """The verdict on a channel in which nobody speaks."""
    return RecordingVerdict(
        channel=channel,
        classes=(),
        probabilities=(),
        labels=(),
        verdicts={},
        partly=(),
        shares={},
        judged_seconds={},
        seconds=summary.seconds,
        speech_seconds=summary.speech_seconds[channel],
        windows=0,
        quality=summary.quality[channel],
        cut_short=summary.incomplete,
        warnings=tuple(loss_cautions(summary.cut_short, summary.damaged)),
    )


def _evidence(windows: Sequence[JudgedWindow], classes: Sequence[str], exclusive: bool) -> Evidence:
    """The windows that tell of each class; all of them for a class that none tells of."""
    if not exclusive:
        return {name: [window for window in windows if window.can_judge(name)] or windows for name in classes}
    judgeable = [sum(map(window.can_judge, classes)) for window in windows]
    fullest = [window for window, count in zip(windows, judgeable, strict=True) if count == max(judgeable)]
    return dict.fromkeys(classes, fullest)


def _probabilities(evidence: Evidence, classes: Sequence[str], exclusive: bool) -> tuple[float, ...]:
    """The weighted mean of each class over the windows that tell of it."""
    means = {}
    for index, name in enumerate(classes):
        windows = evidence[name]
        means[name] = float(np.average([window.probabilities[index] for window in windows], weights=_weights(windows)))
    if not exclusive:
        means[REFERENCE_CLASS] = math.prod(1.0 - mean for name, mean in means.items() if name != REFERENCE_CLASS)
    return tuple(means[name] for name in classes)


def _verdicts(
    windows: Sequence[JudgedWindow],
    classes: Sequence[str],
    probabilities: Sequence[float],
    calibration: AnyCalibration,
) -> dict[str, Verdict]:
    """The calibration's verdicts; not assessable where no window could judge a defect.

    The calibration is told of letters without end, so that it never says so itself. Counts of letters do not add up
    over windows: the small errors of an hour's windows would add up to enough letters.
    """
    letters = {letter for window in windows for letter in window.markers}
    letters |= {letter for those in calibration.letters.values() for letter in those}
    verdicts = calibration.verdicts(classes, probabilities, dict.fromkeys(letters, math.inf))
    return {
        name: verdict if any(window.can_judge(name) for window in windows) else Verdict.not_assessable
        for name, verdict in verdicts.items()
    }


def _partly(windows: Sequence[JudgedWindow], classes: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The defects that are labels of some windows, but not of the whole."""
    counts = {name: sum(name in window.labels for window in windows) for name in classes}
    some = [name for name in classes if name not in (*labels, REFERENCE_CLASS) and counts[name] >= HEARD_AGAIN]
    return tuple(sorted(some, key=lambda name: -counts[name]))


def _shares(windows: Sequence[JudgedWindow], classes: Sequence[str]) -> dict[str, float]:
    """Each label's share of the speech in which it could be judged."""
    shares = {}
    for name in (*classes, UNSURE):
        those = [window for window in windows if window.can_judge(name)]
        labelled = [name in window.labels for window in those]
        shares[name] = round(float(np.average(labelled, weights=_weights(those))), 4) if those else 0.0
    return shares


def _weights(windows: Sequence[JudgedWindow]) -> list[float]:
    return [window.weight for window in windows]


def _named(classes: Sequence[str], probabilities: Sequence[float], exclusive: bool) -> tuple[str, ...]:
    """The most probable class, or the defects that are more probable than not."""
    return (classes[int(np.argmax(probabilities))],) if exclusive else present(classes, probabilities)
