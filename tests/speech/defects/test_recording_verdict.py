"""From judged windows to a verdict: means that stay calibrated, words of the bundle, and what speaks of nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from speech.audio.decode import Quality
from speech.defects.calibration import Calibration
from speech.defects.calibration import Verdict as Word
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.localisation import Place
from speech.defects.multilabel import MultilabelCalibration, Platt
from speech.defects.recording_verdict import UNSURE, JudgedWindow, Verdict, judged, verdict
from speech.longform.cutter import RecordingSummary, Window
from tests.bundles import CLASSES, tiny_model, tiny_multilabel_model
from tests.recordings import hum

QUALITY = Quality(-20.0, -3.0, 0.0, 0.4)
LETTERS = {"burr": ("р",), "fricative_g": ("г",)}
EXCLUSIVE = Calibration(unsure_below=0.8, fewest_letters=0.5, letters=LETTERS)
INDEPENDENT = MultilabelCalibration(
    CLASSES, {name: Platt(yes_from=0.7, no_from=0.7) for name in CLASSES[1:]}, fewest_letters=0.5, letters=LETTERS
)
BOTH = {"р": 3.0, "г": 1.0}
AnyCalibration = Calibration | MultilabelCalibration


def heard(speech: float = 60.0) -> RecordingSummary:
    return RecordingSummary(100.0, {None: speech, 0: speech, 1: speech}, 2, 8_000, dict.fromkeys((None, 0, 1), QUALITY))


def window(
    probabilities: tuple[float, ...],
    calibration: AnyCalibration = EXCLUSIVE,
    markers: dict[str, float] = BOTH,
    seconds: float = 5.0,
    side: int | None = None,
) -> JudgedWindow:
    """A window that such probabilities (none, burr, fricative_g, stutter) would be said of."""
    words = calibration.verdicts(CLASSES, probabilities, markers)
    said = Diagnosis(CLASSES, probabilities, probabilities, markers, 6.0, words, exclusive=calibration.exclusive)
    return judged(Window(side, 10.0, 16.0, np.zeros(96_000, np.float32), seconds), said)


def independent(*defects: float, markers: dict[str, float] = BOTH, seconds: float = 5.0) -> JudgedWindow:
    return window((math.prod(1 - each for each in defects), *defects), INDEPENDENT, markers, seconds)


BURR, NONE, STUTTER = (0.02, 0.95, 0.02, 0.01), (0.95, 0.02, 0.02, 0.01), (0.04, 0.02, 0.02, 0.92)


def test_what_a_window_keeps_of_its_diagnosis() -> None:
    model = tiny_model()
    said = replace(diagnose(model, [hum(2.0, 1)])[0], places=(Place(0.5, 0.75, "burr", 1.0),))
    kept = judged(Window(1, 3600.0, 3602.0, hum(2.0, 1), 1.5), said)
    assert (kept.side, kept.start, kept.end, kept.speech_seconds) == (1, 3600.0, 3602.0, 1.5)
    assert (kept.classes, kept.probabilities, kept.markers) == (said.classes, said.probabilities, said.markers)
    assert kept.labels == said.named
    assert kept.places == (Place(3600.5, 3600.75, "burr", 1.0),)
    assert JudgedWindow.from_dict(json.loads(json.dumps(kept.as_dict()))) == kept


def test_windows_are_labelled_as_their_words_say() -> None:
    assert window(BURR).label == "burr"
    assert window(NONE).label == "none"
    assert window((0.5, 0.4, 0.05, 0.05)).label == UNSURE
    assert window(BURR, markers={"р": 0.1, "г": 1.0}).label == UNSURE  # burr without an р is no burr, and no none
    assert independent(0.9, 0.1, 0.8).labels == ("burr", "stutter")
    assert independent(0.9, 0.1, 0.8).label == "burr"
    assert independent(0.9, 0.1, 0.6).labels == ("burr",)
    assert independent(0.1, 0.1, 0.6).label == UNSURE
    assert independent(0.1, 0.1, 0.2).label == "none"


def test_all_agree() -> None:
    said = verdict([window(BURR) for _ in range(20)], heard(), None, EXCLUSIVE)
    assert said.probabilities == pytest.approx(BURR)
    assert (said.label, said.labels, said.unsure, said.partly) == ("burr", ("burr",), False, ())
    assert said.words == {"burr": Word.yes, "fricative_g": Word.no, "stutter": Word.no}
    assert said.shares == {"none": 0.0, "burr": 1.0, "fricative_g": 0.0, "stutter": 0.0, UNSURE: 0.0}
    assert (said.windows, said.seconds, said.speech_seconds, said.speech_share) == (20, 100.0, 60.0, 0.6)
    assert said.judged_seconds["burr"] == 100.0
    assert said.quality == QUALITY
    assert Verdict.from_dict(json.loads(json.dumps(said.as_dict()))) == said


def test_many_doubtful_windows_do_not_make_a_certain_verdict() -> None:
    said = verdict([window((0.3, 0.6, 0.05, 0.05))] * 500, heard(), None, EXCLUSIVE)
    assert said.probabilities[1] == pytest.approx(0.6)
    assert (said.label, said.unsure, said.words["burr"]) == (UNSURE, True, Word.unsure)
    rare = verdict([independent(0.02, 0.02, 0.02)] * 500, heard(), None, INDEPENDENT)
    assert rare.probabilities == pytest.approx((0.98**3, 0.02, 0.02, 0.02))
    assert rare.label == "none"


def test_the_mean_is_as_calibrated_as_the_windows() -> None:
    rng = np.random.default_rng(0)
    truth, means = [], []
    for _ in range(400):  # recordings whose windows all depend on one speaker
        burr = rng.uniform(0.05, 0.95)
        windows = [window((1 - burr, burr, 0.0, 0.0))] * 30
        truth.append(rng.random() < burr)
        means.append(verdict(windows, heard(), None, EXCLUSIVE).probabilities[1])
    for low in (0.0, 0.25, 0.5, 0.75):
        those = [number for number, mean in enumerate(means) if low <= mean < low + 0.25]
        assert np.mean([truth[number] for number in those]) == pytest.approx(
            np.mean([means[number] for number in those]), abs=0.15
        )


def test_windows_weigh_by_their_speech() -> None:
    said = verdict([window(BURR, seconds=9.0), window(NONE, seconds=1.0)], heard(), None, EXCLUSIVE)
    assert said.probabilities[1] == pytest.approx(0.9 * 0.95 + 0.1 * 0.02)
    assert (said.label, said.shares["burr"]) == ("burr", 0.9)


def test_a_defect_in_part_of_the_recording() -> None:
    some = [window(NONE)] * 8 + [window(STUTTER)] * 2
    said = verdict(some, heard(), None, EXCLUSIVE)
    assert (said.label, said.unsure) == (UNSURE, True)
    assert (said.partly, said.shares["stutter"]) == (("stutter",), 0.2)
    few = verdict([window(NONE)] * 38 + [window(STUTTER)] * 2, heard(), None, EXCLUSIVE)
    assert (few.label, few.words["stutter"], few.partly) == ("none", Word.no, ("stutter",))
    assert few.shares["stutter"] == 0.05
    assert verdict([window(NONE)] * 39 + [window(STUTTER)], heard(), None, EXCLUSIVE).partly == ()


def test_several_defects_each_in_its_own_part() -> None:
    windows = [independent(0.95, 0.05, 0.02)] * 7 + [independent(0.95, 0.05, 0.98)] * 3
    said = verdict(windows, heard(), None, INDEPENDENT)
    assert said.probabilities[1:] == pytest.approx((0.95, 0.05, 0.7 * 0.02 + 0.3 * 0.98))
    assert said.probabilities[0] == pytest.approx(0.05 * 0.95 * (1 - said.probabilities[3]))
    assert said.labels == ("burr",)
    assert said.words == {"burr": Word.yes, "fricative_g": Word.no, "stutter": Word.unsure}
    assert (said.unsure, said.partly, said.shares["stutter"]) == (True, ("stutter",), 0.3)


def test_windows_without_the_letter_say_nothing_of_it() -> None:
    mute = {"р": 0.1, "г": 1.0}
    windows = [independent(0.95, 0.05, 0.05)] * 2 + [independent(0.02, 0.05, 0.05, markers=mute)] * 18
    said = verdict(windows, heard(), None, INDEPENDENT)
    assert said.probabilities[1] == pytest.approx(0.95)
    assert (said.label, said.shares["burr"]) == ("burr", 1.0)
    assert said.judged_seconds == {"none": 100.0, "burr": 10.0, "fricative_g": 100.0, "stutter": 100.0}
    windows = [window(BURR)] * 2 + [window(NONE, markers=mute)] * 18
    said = verdict(windows, heard(), None, EXCLUSIVE)
    assert said.probabilities == pytest.approx(BURR)
    assert (said.label, said.judged_seconds["burr"]) == ("burr", 10.0)


@pytest.mark.parametrize("calibration", [EXCLUSIVE, INDEPENDENT])
def test_letters_do_not_add_up_over_windows(calibration: AnyCalibration) -> None:
    said = verdict([window(NONE, calibration, {"р": 0.4, "г": 1.0})] * 100, heard(), None, calibration)
    assert said.words["burr"] == Word.not_assessable
    assert said.words["fricative_g"] == Word.no
    assert said.label == "none"


def test_each_side_has_its_own() -> None:
    windows = [window(BURR, side=0), window(NONE, side=1), window(BURR, side=0)]
    first, second = (verdict(windows, heard(), side, EXCLUSIVE) for side in (0, 1))
    assert (first.side, first.label, first.windows) == (0, "burr", 2)
    assert (second.side, second.label, second.windows) == (1, "none", 1)
    with pytest.raises(KeyError):
        verdict(windows, heard(), 2, EXCLUSIVE)


def test_a_side_without_speech_has_no_label() -> None:
    said = verdict([window(BURR, side=0)], heard(0.0), 1, EXCLUSIVE)
    assert (said.label, said.labels, said.probabilities, said.unsure, said.windows) == (None, (), (), True, 0)
    assert said.speech_share == 0.0
    assert Verdict.from_dict(json.loads(json.dumps(said.as_dict()))) == said


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="classes differ"):
        verdict([window(BURR), replace(window(BURR), classes=("none", "x", "y", "z"))], heard(), None, EXCLUSIVE)
    with pytest.raises(ValueError, match="exclusive"):
        verdict([window(BURR)], heard(), None, INDEPENDENT)


def test_a_recording_of_one_window_is_judged_as_a_clip() -> None:
    for model in (tiny_model(), tiny_multilabel_model()):
        said = diagnose(model, [hum(2.0, 1)])[0]
        whole = verdict([judged(Window(None, 0.0, 2.0, hum(2.0, 1), 2.0), said)], heard())
        assert whole.probabilities == pytest.approx(said.probabilities)
        assert whole.words == said.verdicts
        assert whole.labels == said.named
