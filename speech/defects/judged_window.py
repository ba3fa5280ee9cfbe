"""One window of a long recording after the model has judged it, as it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from speech.defects.calibration import Verdict, doubted
from speech.defects.localisation import Place
from speech.defects.spec import REFERENCE_CLASS
from speech.longform.cutter import Channel, Window
from speech.text.alignment import TimedWord

if TYPE_CHECKING:  # torch takes seconds to import, and only judging needs it
    from speech.defects.diagnose import Diagnosis
    from speech.defects.training_distance import Distance

UNSURE = "unsure"
Part = TypeVar("Part", Place, TimedWord)

_STORED = {"channel": "side", "verdicts": "words"}  # fields that files and answers know by an older name


@dataclass(frozen=True)
class JudgedWindow:
    """What the model says of one window. `start`, `end` and `places` are in seconds of the recording."""

    channel: Channel
    start: float
    end: float
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Calibrated, in the order of `classes`."""
    labels: tuple[str, ...]
    """What the verdicts decide: the defects whose verdict is yes, `unsure` alone, or the reference class alone."""
    verdicts: Mapping[str, Verdict]
    """Defect class to its verdict."""
    markers: Mapping[str, float] = field(default_factory=dict)
    """Marker letter to its predicted count."""
    places: tuple[Place, ...] = ()
    speech_seconds: float = 0.0
    exclusive: bool = True
    transcript: tuple[TimedWord, ...] | None = None
    """The words spoken, in seconds of the recording; None where none were asked for."""
    feature_score: float | None = None
    """Its distance from the training clips in its features, `speech.defects.feature_distance`; None where unknown."""

    @property
    def label(self) -> str:
        """The most probable of `labels`."""
        return most_probable(self.labels, self.classes, self.probabilities)

    @property
    def weight(self) -> float:
        """Seconds of speech; of the whole window where speech was not measured."""
        return self.speech_seconds or self.end - self.start

    def can_judge(self, name: str) -> bool:
        """Whether a class could be judged in the window; the reference class always can."""
        return self.verdicts.get(name) != Verdict.not_assessable

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        transcript = None if self.transcript is None else [asdict(word) for word in self.transcript]
        places = [asdict(place) for place in self.places]
        return stored_fields(self) | {"label": self.label, "places": places, "transcript": transcript}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> JudgedWindow:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        places = tuple(Place(**place) for place in value["places"])
        words = value.get("transcript")
        transcript = None if words is None else tuple(TimedWord(**word) for word in words)
        return JudgedWindow(**read_fields(value, ("label",)) | {"places": places, "transcript": transcript})


def judge_window(
    window: Window, diagnosis: Diagnosis, words: Iterable[TimedWord] | None = None, far: Distance | None = None
) -> JudgedWindow:
    """What is kept of a window: its diagnosis, the words heard in it, if they were asked for, and how `far` it is from
    the training clips in its features, if that is known."""
    return JudgedWindow(
        channel=window.channel,
        start=window.start,
        end=window.end,
        classes=diagnosis.classes,
        probabilities=diagnosis.probabilities,
        labels=decided(diagnosis.named, diagnosis.verdicts),
        verdicts=diagnosis.verdicts,
        markers=diagnosis.markers,
        places=tuple(_in_recording(place, window.start) for place in diagnosis.places),
        speech_seconds=window.speech_seconds,
        exclusive=diagnosis.exclusive,
        transcript=None if words is None else tuple(_in_recording(word, window.start) for word in words),
        feature_score=None if far is None else far.score,
    )


def doubted_window(window: JudgedWindow) -> JudgedWindow:
    """A window of a recording for which the calibration does not hold: at most unsure."""
    return replace(window, verdicts=doubted(window.verdicts), labels=(UNSURE,))


def _in_recording(part: Part, seconds: float) -> Part:
    """A part of a window, by the recording's time."""
    return replace(part, start=round(seconds + part.start, 3), end=round(seconds + part.end, 3))


def decided(named: Sequence[str], verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    """The labels that the most probable classes and a verdict per defect decide."""
    if defects := tuple(name for name, verdict in verdicts.items() if verdict == Verdict.yes):
        return defects
    # The most probable class may be one that could not be judged: then nothing is decided.
    judged = set(verdicts.values()) - {Verdict.not_assessable}
    return (REFERENCE_CLASS,) if REFERENCE_CLASS in named and judged == {Verdict.no} else (UNSURE,)


def most_probable(labels: Iterable[str], classes: Sequence[str], probabilities: Sequence[float]) -> str:
    """The label of the greatest probability; `UNSURE`, which is no class, has none."""
    by_class = dict(zip(classes, probabilities, strict=True))
    return max(labels, key=lambda label: by_class.get(label, 0.0))


def stored_fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON has them, under the names by which they are stored."""

    def plain(content: Any) -> Any:
        if isinstance(content, tuple):
            return list(content)
        return dict(content) if isinstance(content, Mapping) else content

    return {_STORED.get(name, name): plain(content) for name, content in vars(value).items()}


def read_fields(value: Mapping[str, Any], computed: Sequence[str]) -> dict[str, Any]:
    """The fields of `stored_fields` under the names they have here, without those that are `computed`."""
    names = {stored: name for name, stored in _STORED.items()}
    fields = {
        names.get(stored, stored): tuple(content) if isinstance(content, list) else content
        for stored, content in value.items()
        if stored not in computed
    }
    return fields | {"verdicts": {name: Verdict(verdict) for name, verdict in value["words"].items()}}
