"""From a trained model to a bundle that answers, calibrated, as it was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from dagster import MaterializeResult

from pipeline.assets.evaluation import shown
from pipeline.bundling.plan import BundlePlan
from pipeline.bundling.settings import BundleSettings
from pipeline.bundling.training_clips import statistics
from pipeline.defects import calibration
from pipeline.defects.calibration import calibrate_model
from pipeline.defects.corpus import Corpus
from pipeline.defects.judgement import Judgement, evaluate, score
from pipeline.defects.publication import make_bundle
from pipeline.defects.settings import CalibrationSettings
from pipeline.defects.showcase import choose
from pipeline.defects.weights import save_model
from pipeline.evaluation import ANSWERS, EXAMPLE, EXAMPLES, METRICS, RELIABILITY, RISK_COVERAGE, SHOWCASE, WORSE_BY
from pipeline.evaluation.bootstrap import with_risk
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.defects import BundleError, load_bundle
from speech.bundles.gate import Gate
from speech.defects.calibration import IDENTITY, Calibration, Verdict
from speech.defects.diagnose import diagnose
from speech.defects.training_distance import figures_of, read
from speech.files import read_json
from speech.home import Home
from tests import clip_sets
from tests.bundles import CLASSES, tiny_model, write_tiny_bundle
from tests.recordings import hum

PLAN = BundlePlan("defects-made", "run", Gate(), {})
NAMES = {name: {"en": name} for name in CLASSES}


def ignore(_: str) -> None:
    """Lines of progress are not looked at here."""


def corpus(folder: Path, splits: dict[str, int]) -> Corpus:
    """Hums with labels in turn, so many a split, two clips a speaker."""
    return Corpus(clip_sets.hums(folder, splits, CLASSES), {}, ("р", "г"), {})


@pytest.fixture
def hums(tmp_path: Path) -> Corpus:
    return corpus(tmp_path, {"train": 4, "validation": 12, "test": 12})


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    model = tiny_model(3)
    for head in (model.marker_words, model.other_words):
        head.classes.weight.data *= 30.0  # certain of itself, and for no reason: there is something to calibrate
    save_model(model, folder)
    return folder


def judged(hums: Corpus, trained: Path, champion: Path | None = None) -> Judgement:
    settings = CalibrationSettings(max_accepted_error=0.1, fewest_letters=0.7, batch_size=4)
    fitted = calibrate_model(hums, trained, settings, "cpu", ignore)
    found = evaluate(hums, trained, champion, "none", 4, "cpu", ignore, fitted)
    found.metrics["champion"] = with_risk(found.metrics["champion"], found.worse_by, 0.01)
    return found


def applied_of(judgement: Judgement) -> Calibration:
    return Calibration.from_dict(judgement.metrics["calibration"]["applied"])


def test_it_is_calibrated_on_validation_and_measured_on_test(
    hums: Corpus, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[np.ndarray, np.ndarray, list[str]]] = []
    whole = calibration.calibrate

    def watched(logits: Any, truth: Any, units: Any, letters: Any, options: Any) -> Any:
        given.append((logits, truth, units))
        return whole(logits, truth, units, letters, options)

    monkeypatch.setattr("pipeline.defects.calibration.calibrate", watched)
    report = judged(hums, trained)
    ((_, _, voices),) = given
    assert {voice.split()[0] for voice in voices} == {"validation"}
    figures = report.metrics["calibration"]
    applied = Calibration.from_dict(figures["applied"])
    assert applied.temperature > 1.2
    assert applied.letters == {"none": (), "burr": ("р",), "fricative_g": ("г",), "stutter": ()}
    assert applied.fewest_letters == 0.7
    assert (figures["fit"]["clips"], figures["fit"]["units"]) == (12, 6)
    assert (figures["test"]["clips"], figures["test"]["units"]) == (12, 6)
    assert figures["test"]["change"]["nll"]["value"] != 0
    for answer in report.answers:
        np.testing.assert_allclose(answer["probabilities"], applied.apply(np.array(answer["logits"])))
    counted = figures["verdicts"]["burr"]
    assert sum(row["clips"] for row in counted.values()) == 12
    assert sum(row["with_defect"] for row in counted.values()) == 3


def test_its_files_are_written(hums: Corpus, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    judged(hums, trained).write(folder)
    pictures = {RELIABILITY, RISK_COVERAGE, SHOWCASE}
    assert {path.name for path in folder.iterdir()} == {METRICS, ANSWERS, WORSE_BY, EXAMPLE, EXAMPLES} | pictures
    answer = read_json(folder / ANSWERS)[0]
    assert set(answer["verdicts"]) == {"burr", "fricative_g", "stutter"}
    assert not {"intensity", "spelling", "frame_seconds"} & set(answer)


def test_the_run_shows_how_far_to_believe(hums: Corpus, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    judged(hums, trained).write(folder)
    entries = MaterializeResult(metadata=shown(read_json(folder / METRICS), folder)).metadata
    assert entries is not None
    assert "of 12 validation clips are judged outright" in str(entries["calibration"])
    assert str(entries["certification"]).startswith("not certified for 0.1: of 0 test clips judged outright")
    assert "data:image/png" in entries["reliability"].value
    assert "data:image/png" in entries["risk_coverage"].value
    assert "data:image/png" in entries["showcase"].value
    assert "sha256" in str(entries["showcase_rule"])
    assert "no speaker groups" in str(entries["groups"])
    assert len(entries["verdicts"].value.records) == 3 * 4


def test_the_bundle_answers_as_was_measured(hums: Corpus, trained: Path, data_home: Home) -> None:
    report = judged(hums, trained)
    folder = make_bundle(
        data_home,
        PLAN,
        trained,
        hums,
        report.metrics,
        report.answers,
        applied_of(report),
        BundleSettings(),
        NAMES,
        ignore,
    )
    bundle = load_bundle(folder)
    assert bundle.calibration == Calibration.from_dict(report.metrics["calibration"]["applied"])
    assert bundle.calibration != IDENTITY
    by_id = {record.id: record for record in hums.clips.records}
    for answer in report.answers:
        (again,) = diagnose(bundle.model, [hums.clips.samples(by_id[answer["clip"]])], bundle.calibration)
        np.testing.assert_allclose(again.probabilities, answer["probabilities"], atol=1e-5)
        assert again.verdicts == answer["verdicts"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Calibrated on 12 validation clips of 6 speakers, measured on 12 test clips of\n6, all from hums" in card
    assert "not certified" in card.lower()


def test_a_bundle_knows_the_sound_of_its_training_clips_alone(tmp_path: Path) -> None:
    clips = corpus(tmp_path, {"train": 24, "test": 8})
    told = statistics(clips.clips)
    training = [figures_of(clips.clips.samples(record)) for record in clips.clips.of_split("train")]
    assert told["level_dbfs"]["0.5"] == pytest.approx(np.median([figures["level_dbfs"] for figures in training]))
    assert told["seconds"]["0.99"] == pytest.approx(0.7)
    training_distance = read(told)
    assert training_distance is not None
    assert training_distance.clips == len(training) == 24
    assert sum(training_distance.of(figures).unlike for figures in training) <= 1
    assert training_distance.of(figures_of(hum(8.0))).why[0] == "seconds"


def test_a_bundle_knows_what_its_model_makes_of_the_training_clips(
    tmp_path: Path, trained: Path, data_home: Home
) -> None:
    clips = corpus(tmp_path, {"train": 24, "validation": 12, "test": 12})
    report, lines = judged(clips, trained), list[str]()
    judgement = (report.metrics, report.answers, applied_of(report))
    folder = make_bundle(data_home, PLAN, trained, clips, *judgement, BundleSettings(), NAMES, lines.append)
    bundle = load_bundle(folder)
    assert bundle.feature_distance is not None
    assert bundle.feature_distance.clips == 24
    near = [
        bundle.distance_of(diagnose(bundle.model, [clips.clips.samples(record)])[0])
        for record in clips.clips.of_split("train")
    ]
    assert sum(one is None or one.unlike for one in near) <= 1


def test_a_bundle_calibrated_otherwise_than_measured_is_refused(hums: Corpus, trained: Path, data_home: Home) -> None:
    report = judged(hums, trained)
    report.metrics["calibration"]["applied"] = IDENTITY.as_dict()
    with pytest.raises(BundleError, match="answers otherwise"):
        make_bundle(
            data_home,
            PLAN,
            trained,
            hums,
            report.metrics,
            report.answers,
            applied_of(report),
            BundleSettings(),
            NAMES,
            ignore,
        )
    assert not (data_home.bundles / PLAN.id).exists()


def test_an_evaluation_from_before_calibration_is_refused(hums: Corpus, trained: Path, data_home: Home) -> None:
    report = judged(hums, trained)
    applied = applied_of(report)
    del report.metrics["calibration"]
    with pytest.raises(BundleError, match="launch evaluation again"):
        make_bundle(
            data_home,
            PLAN,
            trained,
            hums,
            report.metrics,
            report.answers,
            applied,
            BundleSettings(),
            NAMES,
            ignore,
        )


def test_champion_and_score_use_the_bundles_own_calibration(hums: Corpus, trained: Path, data_home: Home) -> None:
    partial = Calibration(bias=(0.0, 0.0, 0.0, 1e6))  # always says stutter
    champion = write_tiny_bundle(data_home, "champion", seed=3, calibration=partial)
    always = 2 * 0.25 / 1.25 / 4  # macro-F1 of always naming one of four equally frequent classes
    compared = judged(hums, trained, champion).metrics["champion"]
    assert compared["macro_f1"] == pytest.approx(always)
    figures = score(hums, champion, 4, "cpu", ignore)
    assert figures["per_class"]["stutter"]["recall"] == 1.0


def test_without_validation_clips_it_says_so_and_goes_on(tmp_path: Path, trained: Path) -> None:
    bare = corpus(tmp_path, {"test": 8})
    figures = judged(bare, trained).metrics["calibration"]
    assert "no labelled clip" in figures["fit"]["note"]
    assert figures["test"]["change"]["nll"]["value"] == 0
    assert sum(figures["verdicts"]["stutter"][word]["clips"] for word in (Verdict.yes, Verdict.no)) == 8


def test_a_clip_of_each_class_is_kept_and_not_chosen_by_its_answer(
    hums: Corpus, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = judged(hums, trained)
    rows = found.metrics["examples"]
    assert [row["class"] for row in rows] == list(hums.clips.classes)
    test = hums.clips.of_split("test", labelled=True)
    for row in rows:
        lowest = min((record for record in test if record.label == row["class"]), key=lambda record: record.content)
        assert (row["file"], row["labels"]) == (lowest.file, [row["class"]])
    folder = tmp_path / "evaluation"
    folder.mkdir()
    found.write(folder)
    for number, row in enumerate(rows):
        sound, rate = soundfile.read(folder / row["sound"], dtype="float32")
        assert (row["sound"], rate) == (f"examples/{number}.wav", SAMPLE_RATE)
        record = next(record for record in test if record.file == row["file"])
        np.testing.assert_allclose(sound, hums.clips.samples(record), atol=1e-4)
    (row, *_) = json.loads(json.dumps(shown(read_json(folder / METRICS), folder)["examples"].data))
    assert row["sound"] == str(folder / "examples/0.wav")
    monkeypatch.setattr("pipeline.defects.judgement.choose", lambda clips, answers: choose(clips, answers[::-1]))
    assert judged(hums, trained).metrics["examples"] == rows


def test_a_class_without_a_test_clip_is_in_the_examples_too(trained: Path, tmp_path: Path) -> None:
    rows = judged(corpus(tmp_path, {"train": 4, "validation": 12, "test": 2}), trained).metrics["examples"]
    assert [set(row) for row in rows] == [{"class", "file", "labels", "sound"}] * 2 + [{"class"}] * (len(rows) - 2)


def test_why_letters_could_not_be_counted(hums: Corpus, trained: Path, tmp_path: Path) -> None:
    found = judged(hums, trained).metrics["markers"]
    assert (found["mae"], found["unmeasured"]) == (None, "no trusted transcripts of train and test clips")
    found = judged(replace(hums, letters=()), trained).metrics["markers"]
    assert (found["mae"], found["unmeasured"]) == (None, "no class has marker letters")
