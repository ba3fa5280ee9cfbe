"""From judged windows to one verdict a side of a long recording.

The probability of a class is that of a moment of speech drawn at random from the side: the mean of the windows'
calibrated probabilities, each weighed by its seconds of speech. If the windows' are calibrated, so is the mean, however
much windows of one voice in one room depend on each other. Multiplying them as if each were new evidence would make
every recording of an hour certain of something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from speech.audio import Quality
from speech.calibration import Verdict as Word
from speech.diagnose import Diagnosis
from speech.listening import Heard, Side, Window
from speech.multilabel import AnyCalibration
from speech.places import Place

UNSURE = "unsure"


@dataclass(frozen=True)
class JudgedWindow:
    """What the model says of one window; `start`, `end` and `places` in seconds of the recording.

    `probabilities` follow `classes`, calibrated. `words` is a word per defect class; `labels` what these decide: the
    defects said yes to, `unsure` alone, or the class without a defect alone. `markers`: predicted count per letter.
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

    @property
    def label(self) -> str:
        """The most probable of `labels`."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        raise NotImplementedError

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> JudgedWindow:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        raise NotImplementedError


def judged(window: Window, diagnosis: Diagnosis) -> JudgedWindow:
    """What is kept of a window's diagnosis."""
    raise NotImplementedError


@dataclass(frozen=True)
class Verdict:
    """What is said of one side of a recording.

    `probabilities` follow `classes`; empty, as `classes` is, where the side holds no speech: then `label` is None.
    `labels` and `words` as in `JudgedWindow`. `partly`: defects that are not named of the whole, but said yes to in
    more than one window. `shares`: class to the share, 0 to 1, of the speech in which it could be judged that was
    decided to have it, and `unsure` to that in which nothing was decided. `judged_seconds`: speech on which the
    probabilities rest. `seconds` is of the recording, `speech_share` is `speech_seconds` of it, `windows` their count.
    """

    side: Side
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    words: Mapping[str, Word]
    partly: tuple[str, ...]
    shares: Mapping[str, float]
    seconds: float
    speech_seconds: float
    judged_seconds: float
    windows: int
    quality: Quality
    cut_short: bool = False
    exclusive: bool = True

    @property
    def label(self) -> str | None:
        """The most probable of `labels`."""
        raise NotImplementedError

    @property
    def unsure(self) -> bool:
        """Whether something is open: no label, or a defect of which neither yes nor no is said."""
        raise NotImplementedError

    @property
    def speech_share(self) -> float:
        return self.speech_seconds / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with `label`, `unsure` and `speech_share`; `from_dict` reads it back."""
        raise NotImplementedError

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Verdict:
        """Raises KeyError, TypeError or ValueError where `value` is not what `as_dict` gives."""
        raise NotImplementedError


def verdict(
    windows: Sequence[JudgedWindow], heard: Heard, side: Side = None, calibration: AnyCalibration | None = None
) -> Verdict:
    """The verdict of one side; windows of other sides are passed over.

    `calibration` is the bundle's, as for `speech.diagnose.diagnose`: it decides when a probability suffices. Raises
    KeyError for a side that was not heard, ValueError where windows differ in their classes or the calibration is not
    for such classes.
    """
    raise NotImplementedError
