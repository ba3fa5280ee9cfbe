"""From judged windows to one verdict a side of a long recording.

The probability of a class is that of a moment of speech drawn at random from the side: the mean of the windows'
calibrated probabilities, each weighed by its seconds of speech. If the windows' are calibrated, so is the mean, however
much windows of one voice in one room depend on each other. Multiplying them, as if each were new evidence, would make
every recording of an hour certain of something, and so would one minus the product of absences.

A window without a defect's marker letters says nothing of that defect. Independent defects are therefore each judged by
the windows in which they could be, and no defect is as probable as that all are absent, as in
`speech.defects.multilabel`. Exclusive classes share one distribution, so it is that of the windows in which all of them
could be judged; where there is no such window, of those in which most could. From there on the bundle's calibration
decides as it does for a clip: yes, no or unsure. A defect heard in part of a recording has a mean of about that part:
it is named where that suffices for the bundle's own bounds, is unsure or denied where it does not, and `shares` and
`partly` tell of it all the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from speech.audio.decode import Quality
from speech.defects.calibration import IDENTITY
from speech.defects.calibration import Verdict as Word
from speech.defects.localisation import Place
from speech.defects.multilabel import AnyCalibration, MultilabelCalibration, present
from speech.defects.spec import REFERENCE_CLASS
from speech.longform.cutter import RecordingSummary, Side, Window
from speech.text.alignment import TimedWord

if TYPE_CHECKING:  # torch takes seconds to import, and only judging needs it
    from speech.defects.diagnose import Diagnosis

UNSURE = "unsure"
HEARD_AGAIN = 2  # windows; a defect heard once in hours may be a slip of the tongue, or of the model


@dataclass(frozen=True)
class JudgedWindow:
    """What the model says of one window; `start`, `end` and `places` in seconds of the recording.

    `probabilities` follow `classes`, calibrated. `words` is a word per defect class; `labels` what these decide: the
    defects said yes to, `unsure` alone, or the class without a defect alone. `markers`: predicted count per letter.
    `transcript`: the words spoken, in seconds of the recording; None where none was asked for.
    """

    side: Side
    start: float
    end: float
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    words: Mapping[str, Word]
    markers: Mapping[str, float] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    speech_seconds: float = 0.0
    exclusive: bool = True
    transcript: tuple[TimedWord, ...] | None = None

    @property
    def label(self) -> str:
        """The most probable of `labels`."""
        return _foremost(self.labels, self.classes, self.probabilities)

    def can_judge(self, name: str) -> bool:
        """Whether the window tells of a class; of the one without a defect any does."""
        return self.words.get(name) != Word.not_assessable

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        heard = None if self.transcript is None else [asdict(word) for word in self.transcript]
        places = [asdict(place) for place in self.places]
        return _plain(self) | {"label": self.label, "places": places, "transcript": heard}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> JudgedWindow:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        places = tuple(Place(**place) for place in value["places"])
        words = value.get("transcript")
        heard = None if words is None else tuple(TimedWord(**word) for word in words)
        return JudgedWindow(**_read(value, ("label",)) | {"places": places, "transcript": heard})


def judged(window: Window, diagnosis: Diagnosis, words: Iterable[TimedWord] | None = None) -> JudgedWindow:
    """What is kept of a window's diagnosis and of the words heard in it."""
    places = tuple(
        replace(place, start=round(window.start + place.start, 3), end=round(window.start + place.end, 3))
        for place in diagnosis.places
    )
    return JudgedWindow(
        side=window.side,
        start=window.start,
        end=window.end,
        classes=diagnosis.classes,
        probabilities=diagnosis.probabilities,
        labels=_labels(diagnosis.named, diagnosis.verdicts),
        words=diagnosis.verdicts,
        markers=diagnosis.markers,
        places=places,
        speech_seconds=window.speech_seconds,
        exclusive=diagnosis.exclusive,
        transcript=None if words is None else tuple(_moved(word, window.start) for word in words),
    )


def _moved(word: TimedWord, seconds: float) -> TimedWord:
    return replace(word, start=round(seconds + word.start, 3), end=round(seconds + word.end, 3))


@dataclass(frozen=True)
class Verdict:
    """What is said of one side of a recording.

    `probabilities` follow `classes`; both are empty where the side holds no speech: then `label` is None. `labels` and
    `words` as in `JudgedWindow`. `partly`: defects not named of the whole, but said yes to in `HEARD_AGAIN` windows or
    more, the most frequent first. `shares`: class to the share, 0 to 1, of the speech in which it could be judged that
    was decided to have it, and `unsure` to that in which nothing was decided. `judged_seconds`: the speech on which
    probabilities rest, by class. `seconds` is of the recording, `speech_share` is `speech_seconds` of it, `windows`
    their count.
    """

    side: Side
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    words: Mapping[str, Word]
    partly: tuple[str, ...]
    shares: Mapping[str, float]
    judged_seconds: Mapping[str, float]
    seconds: float
    speech_seconds: float
    windows: int
    quality: Quality
    cut_short: bool = False
    exclusive: bool = True

    @property
    def label(self) -> str | None:
        """The most probable of `labels`."""
        return _foremost(self.labels, self.classes, self.probabilities) if self.labels else None

    @property
    def unsure(self) -> bool:
        """Whether something is open: nothing could be judged, or a word is `unsure`."""
        return not self.labels or Word.unsure in self.words.values() or UNSURE in self.labels

    @property
    def speech_share(self) -> float:
        return min(1.0, self.speech_seconds / self.seconds) if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with `label`, `unsure` and `speech_share`; `from_dict` reads it back."""
        shown = {"label": self.label, "unsure": self.unsure, "speech_share": self.speech_share}
        return _plain(self) | shown | {"quality": self.quality.as_dict()}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Verdict:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        quality = Quality(**value["quality"])
        return Verdict(**_read(value, ("label", "unsure", "speech_share")) | {"quality": quality})


def verdict(
    windows: Sequence[JudgedWindow],
    summary: RecordingSummary,
    side: Side = None,
    calibration: AnyCalibration | None = None,
) -> Verdict:
    """The verdict of one side; windows of other sides are passed over.

    `calibration` is the bundle's, as for `speech.defects.diagnose.diagnose`: it decides when a probability suffices.
    Raises KeyError for a side that was not heard, ValueError where windows differ in their classes or the calibration
    is not for such classes."""
    speech = summary.speech_seconds[side]
    windows = [window for window in windows if window.side == side]
    nothing = Verdict(
        side, (), (), (), {}, (), {}, {}, summary.seconds, speech, 0, summary.quality[side], summary.cut_short
    )
    if not windows:
        return nothing
    classes, exclusive = windows[0].classes, windows[0].exclusive
    if any((window.classes, window.exclusive) != (classes, exclusive) for window in windows):
        raise ValueError("windows of one recording must be judged by one model: their classes differ")
    calibration = calibration or (IDENTITY if exclusive else MultilabelCalibration(classes))
    if calibration.exclusive != exclusive:
        raise ValueError("the calibration is for exclusive classes, or the windows are, but not both")
    evidence = _evidence(windows, classes, exclusive)
    probabilities = _means(evidence, classes, exclusive)
    words = _words(windows, classes, probabilities, calibration)
    labels = _labels(_named(classes, probabilities, exclusive), words)
    again = {
        name: count
        for name in classes
        if name not in labels and name != REFERENCE_CLASS
        if (count := sum(name in window.labels for window in windows)) >= HEARD_AGAIN
    }
    return replace(
        nothing,
        classes=classes,
        probabilities=probabilities,
        labels=labels,
        words=words,
        partly=tuple(sorted(again, key=lambda name: -again[name])),
        shares=_shares(windows, classes),
        judged_seconds={name: round(_seconds(those), 3) for name, those in evidence.items()},
        windows=len(windows),
        exclusive=exclusive,
    )


def _evidence(
    windows: Sequence[JudgedWindow], classes: Sequence[str], exclusive: bool
) -> dict[str, list[JudgedWindow]]:
    """The windows that tell of each class; of one that none tells of, all."""
    if exclusive:
        judgeable = [sum(map(window.can_judge, classes)) for window in windows]
        fullest = [window for window, count in zip(windows, judgeable, strict=True) if count == max(judgeable)]
        return dict.fromkeys(classes, fullest)
    return {name: [window for window in windows if window.can_judge(name)] or list(windows) for name in classes}


def _means(
    evidence: Mapping[str, Sequence[JudgedWindow]], classes: Sequence[str], exclusive: bool
) -> tuple[float, ...]:
    means = {
        name: float(np.average([window.probabilities[index] for window in those], weights=_weights(those)))
        for index, name in enumerate(classes)
        for those in [evidence[name]]
    }
    if not exclusive:
        means[REFERENCE_CLASS] = math.prod(1.0 - mean for name, mean in means.items() if name != REFERENCE_CLASS)
    return tuple(means[name] for name in classes)


def _words(
    windows: Sequence[JudgedWindow],
    classes: Sequence[str],
    probabilities: Sequence[float],
    calibration: AnyCalibration,
) -> dict[str, Word]:
    # Counts of letters do not add up over windows: what is miscounted in each would make enough of them in an hour.
    letters = {letter for window in windows for letter in window.markers} | {
        letter for those in calibration.letters.values() for letter in those
    }
    words = calibration.verdicts(classes, probabilities, dict.fromkeys(letters, math.inf))
    return {
        name: word if any(window.can_judge(name) for window in windows) else Word.not_assessable
        for name, word in words.items()
    }


def _shares(windows: Sequence[JudgedWindow], classes: Sequence[str]) -> dict[str, float]:
    shares = {}
    for name in (*classes, UNSURE):
        those = [window for window in windows if window.can_judge(name)]
        decided = [name in window.labels for window in those]
        shares[name] = round(float(np.average(decided, weights=_weights(those))), 4) if those else 0.0
    return shares


def _weights(windows: Sequence[JudgedWindow]) -> list[float]:
    """Seconds of speech; of the whole window where these were not counted."""
    return [window.speech_seconds or window.end - window.start for window in windows]


def _seconds(windows: Sequence[JudgedWindow]) -> float:
    return sum(_weights(windows))


def _labels(named: Sequence[str], words: Mapping[str, Word]) -> tuple[str, ...]:
    """What the classes most probably had and a word per defect decide."""
    defects = tuple(name for name, word in words.items() if word == Word.yes)
    if defects:
        return defects
    # The most probable class may be one that could not be judged: then nothing is decided.
    clear = REFERENCE_CLASS in named and set(words.values()) - {Word.not_assessable} == {Word.no}
    return (REFERENCE_CLASS,) if clear else (UNSURE,)


def _named(classes: Sequence[str], probabilities: Sequence[float], exclusive: bool) -> tuple[str, ...]:
    return (classes[int(np.argmax(probabilities))],) if exclusive else present(classes, probabilities)


def _foremost(labels: Iterable[str], classes: Sequence[str], probabilities: Sequence[float]) -> str:
    by_class = dict(zip(classes, probabilities, strict=True))
    return max(labels, key=lambda label: by_class.get(label, 0.0))


def _plain(value: JudgedWindow | Verdict) -> dict[str, Any]:
    """The fields as JSON has them."""
    return {
        name: list(content)
        if isinstance(content, tuple)
        else dict(content)
        if isinstance(content, Mapping)
        else content
        for name, content in vars(value).items()
    }


def _read(value: Mapping[str, Any], computed: Sequence[str]) -> dict[str, Any]:
    """The fields of `_plain`, without those that are `computed`."""
    fields = {name: tuple(held) if isinstance(held, list) else held for name, held in value.items()}
    words = {name: Word(word) for name, word in value["words"].items()}
    return {name: held for name, held in fields.items() if name not in computed} | {"words": words}
