"""From judged windows to a verdict: means that stay calibrated, words of the bundle, and what speaks of nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from speech.audio.decode import Quality
from speech.defects.calibration import Calibration, Verdict
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.judged_window import UNSURE, JudgedWindow, judge_window
from speech.defects.localisation import Place
from speech.defects.multilabel import MultilabelCalibration, Platt
from speech.defects.recording_verdict import RecordingVerdict, judge_recording
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


def summary(speech: float = 60.0) -> RecordingSummary:
    return RecordingSummary(100.0, {None: speech, 0: speech, 1: speech}, 2, 8_000, dict.fromkeys((None, 0, 1), QUALITY))


def window(
    probabilities: tuple[float, ...],
    calibration: AnyCalibration = EXCLUSIVE,
    markers: dict[str, float] = BOTH,
    seconds: float = 5.0,
    channel: int | None = None,
) -> JudgedWindow:
    """A window that such probabilities (none, burr, fricative_g, stutter) would be said of."""
    verdicts = calibration.verdicts(CLASSES, probabilities, markers)
    said = Diagnosis(CLASSES, probabilities, probabilities, markers, 6.0, verdicts, exclusive=calibration.exclusive)
    return judge_window(Window(channel, 10.0, 16.0, np.zeros(96_000, np.float32), seconds), said)


def independent(*defects: float, markers: dict[str, float] = BOTH, seconds: float = 5.0) -> JudgedWindow:
    return window((math.prod(1 - each for each in defects), *defects), INDEPENDENT, markers, seconds)


BURR, NONE, STUTTER = (0.02, 0.95, 0.02, 0.01), (0.95, 0.02, 0.02, 0.01), (0.04, 0.02, 0.02, 0.92)


def test_what_a_window_keeps_of_its_diagnosis() -> None:
    model = tiny_model()
    said = replace(diagnose(model, [hum(2.0, 1)])[0], places=(Place(0.5, 0.75, "burr", 1.0),))
    kept = judge_window(Window(1, 3600.0, 3602.0, hum(2.0, 1), 1.5), said)
    assert (kept.channel, kept.start, kept.end, kept.speech_seconds) == (1, 3600.0, 3602.0, 1.5)
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
    said = judge_recording([window(BURR) for _ in range(20)], summary(), None, EXCLUSIVE)
    assert said.probabilities == pytest.approx(BURR)
    assert (said.label, said.labels, said.unsure, said.partly) == ("burr", ("burr",), False, ())
    assert said.verdicts == {"burr": Verdict.yes, "fricative_g": Verdict.no, "stutter": Verdict.no}
    assert said.shares == {"none": 0.0, "burr": 1.0, "fricative_g": 0.0, "stutter": 0.0, UNSURE: 0.0}
    assert (said.windows, said.seconds, said.speech_seconds, said.speech_share) == (20, 100.0, 60.0, 0.6)
    assert said.judged_seconds["burr"] == 100.0
    assert said.quality == QUALITY
    assert RecordingVerdict.from_dict(json.loads(json.dumps(said.as_dict()))) == said


def test_many_doubtful_windows_do_not_make_a_certain_verdict() -> None:
    said = judge_recording([window((0.3, 0.6, 0.05, 0.05))] * 500, summary(), None, EXCLUSIVE)
    assert said.probabilities[1] == pytest.approx(0.6)
    assert (said.label, said.unsure, said.verdicts["burr"]) == (UNSURE, True, Verdict.unsure)
    rare = judge_recording([independent(0.02, 0.02, 0.02)] * 500, summary(), None, INDEPENDENT)
    assert rare.probabilities == pytest.approx((0.98**3, 0.02, 0.02, 0.02))
    assert rare.label == "none"


def test_the_mean_is_as_calibrated_as_the_windows() -> None:
    rng = np.random.default_rng(0)
    truth, means = [], []
    for _ in range(400):  # recordings whose windows all depend on one speaker
        burr = rng.uniform(0.05, 0.95)
        windows = [window((1 - burr, burr, 0.0, 0.0))] * 30
        truth.append(rng.random() < burr)
        means.append(judge_recording(windows, summary(), None, EXCLUSIVE).probabilities[1])
    for low in (0.0, 0.25, 0.5, 0.75):
        those = [number for number, mean in enumerate(means) if low <= mean < low + 0.25]
        assert np.mean([truth[number] for number in those]) == pytest.approx(
            np.mean([means[number] for number in those]), abs=0.15
        )


def test_windows_weigh_by_their_speech() -> None:
    said = judge_recording([window(BURR, seconds=9.0), window(NONE, seconds=1.0)], summary(), None, EXCLUSIVE)
    assert said.probabilities[1] == pytest.approx(0.9 * 0.95 + 0.1 * 0.02)
    assert (said.label, said.shares["burr"]) == ("burr", 0.9)


def test_a_defect_in_part_of_the_recording() -> None:
    some = [window(NONE)] * 8 + [window(STUTTER)] * 2
    said = judge_recording(some, summary(), None, EXCLUSIVE)
    assert (said.label, said.unsure) == (UNSURE, True)
    assert (said.partly, said.shares["stutter"]) == (("stutter",), 0.2)
    few = judge_recording([window(NONE)] * 38 + [window(STUTTER)] * 2, summary(), None, EXCLUSIVE)
    assert (few.label, few.verdicts["stutter"], few.partly) == ("none", Verdict.no, ("stutter",))
    assert few.shares["stutter"] == 0.05
    assert judge_recording([window(NONE)] * 39 + [window(STUTTER)], summary(), None, EXCLUSIVE).partly == ()


def test_several_defects_each_in_its_own_part() -> None:
    windows = [independent(0.95, 0.05, 0.02)] * 7 + [independent(0.95, 0.05, 0.98)] * 3
    said = judge_recording(windows, summary(), None, INDEPENDENT)
    assert said.probabilities[1:] == pytest.approx((0.95, 0.05, 0.7 * 0.02 + 0.3 * 0.98))
    assert said.probabilities[0] == pytest.approx(0.05 * 0.95 * (1 - said.probabilities[3]))
    assert said.labels == ("burr",)
    assert said.verdicts == {"burr": Verdict.yes, "fricative_g": Verdict.no, "stutter": Verdict.unsure}
    assert (said.unsure, said.partly, said.shares["stutter"]) == (True, ("stutter",), 0.3)


def test_windows_without_the_letter_say_nothing_of_it() -> None:
    mute = {"р": 0.1, "г": 1.0}
    windows = [independent(0.95, 0.05, 0.05)] * 2 + [independent(0.02, 0.05, 0.05, markers=mute)] * 18
    said = judge_recording(windows, summary(), None, INDEPENDENT)
    assert said.probabilities[1] == pytest.approx(0.95)
    assert (said.label, said.shares["burr"]) == ("burr", 1.0)
    assert said.judged_seconds == {"none": 100.0, "burr": 10.0, "fricative_g": 100.0, "stutter": 100.0}
    windows = [window(BURR)] * 2 + [window(NONE, markers=mute)] * 18
    said = judge_recording(windows, summary(), None, EXCLUSIVE)
    assert said.probabilities == pytest.approx(BURR)
    assert (said.label, said.judged_seconds["burr"]) == ("burr", 10.0)


@pytest.mark.parametrize("calibration", [EXCLUSIVE, INDEPENDENT])
def test_letters_do_not_add_up_over_windows(calibration: AnyCalibration) -> None:
    said = judge_recording([window(NONE, calibration, {"р": 0.4, "г": 1.0})] * 100, summary(), None, calibration)
    assert said.verdicts["burr"] == Verdict.not_assessable
    assert said.verdicts["fricative_g"] == Verdict.no
    assert said.label == "none"


def test_each_channel_has_its_own() -> None:
    windows = [window(BURR, channel=0), window(NONE, channel=1), window(BURR, channel=0)]
    first, second = (judge_recording(windows, summary(), channel, EXCLUSIVE) for channel in (0, 1))
    assert (first.channel, first.label, first.windows) == (0, "burr", 2)
    assert (second.channel, second.label, second.windows) == (1, "none", 1)
    with pytest.raises(KeyError):
        judge_recording(windows, summary(), 2, EXCLUSIVE)


def test_a_channel_without_speech_has_no_label() -> None:
    said = judge_recording([window(BURR, channel=0)], summary(0.0), 1, EXCLUSIVE)
    assert (said.label, said.labels, said.probabilities, said.unsure, said.windows) == (None, (), (), True, 0)
    assert said.speech_share == 0.0
    assert RecordingVerdict.from_dict(json.loads(json.dumps(said.as_dict()))) == said


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="classes differ"):
        judge_recording(
            [window(BURR), replace(window(BURR), classes=("none", "x", "y", "z"))], summary(), None, EXCLUSIVE
        )
    with pytest.raises(ValueError, match="exclusive"):
        judge_recording([window(BURR)], summary(), None, INDEPENDENT)


def test_a_recording_of_one_window_is_judged_as_a_clip() -> None:
    for model in (tiny_model(), tiny_multilabel_model()):
        said = diagnose(model, [hum(2.0, 1)])[0]
        whole = judge_recording([judge_window(Window(None, 0.0, 2.0, hum(2.0, 1), 2.0), said)], summary())
        assert whole.probabilities == pytest.approx(said.probabilities)
        assert whole.verdicts == said.verdicts
        assert whole.labels == said.named


def test_stored_and_answered_fields_keep_their_names() -> None:
    kept, said = window(BURR, channel=1), judge_recording([window(BURR)], summary(), None, EXCLUSIVE)
    assert list(kept.as_dict()) == [
        "side", "start", "end", "classes", "probabilities", "labels", "words", "markers", "places", "speech_seconds",
        "exclusive", "transcript", "feature_score", "label",
    ]  # fmt: skip
    assert list(said.as_dict()) == [
        "side", "classes", "probabilities", "labels", "words", "partly", "shares", "judged_seconds", "seconds",
        "speech_seconds", "windows", "quality", "cut_short", "exclusive", "unlike_training",
        "warnings", "label", "unsure", "speech_share",
    ]  # fmt: skip
    assert (kept.as_dict()["side"], kept.as_dict()["words"]["burr"]) == (1, "yes")
