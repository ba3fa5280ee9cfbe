"""Several defects at once: calibrated, measured and compared defect by defect."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dagster import MaterializeResult

from pipeline.assets.evaluation import shown, shown_per_defect
from pipeline.bundling.settings import BundleSettings
from pipeline.defects.calibration import calibrate_model
from pipeline.defects.card import model_card
from pipeline.defects.corpus import Corpus
from pipeline.defects.judgement import Judgement, evaluate, score
from pipeline.defects.multilabel_evaluation import (
    calibrate_defects,
    certification_of_defects,
    fit_platt,
    reliability_of_defects,
)
from pipeline.defects.probability_fit import Fitted
from pipeline.defects.publication import make_bundle
from pipeline.defects.settings import CalibrationSettings
from pipeline.defects.weights import load_model, save_model
from pipeline.evaluation import METRICS
from pipeline.evaluation.bootstrap import paired_difference, with_risk
from pipeline.evaluation.metrics import NothingToJudge, metrics_of, multilabel_metrics
from speech.bundles.defects import load_bundle, read_config
from speech.bundles.gate import Gate, check
from speech.defects.calibration import Verdict
from speech.defects.multilabel import MultilabelCalibration, Platt
from speech.files import read_json
from speech.home import Home
from tests.bundles import CLASSES, tiny_multilabel_model, write_tiny_bundle
from tests.pipeline.defects.test_judgement import NAMES, PLAN, corpus, ignore

SURE, SHIFT = 4.0, 2.0  # how much too certain the made-up model is, and how much too ready to name a defect


def outcomes(clips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits of three defects and of none, whose logit means nothing; which classes are true; twenty speakers."""
    generator = np.random.default_rng(seed)
    honest = 2.0 * generator.standard_normal((clips, 4)) - 1.0
    truth = generator.random((clips, 4)) < Platt().apply(honest)
    truth[:, 0] = ~truth[:, 1:].any(1)
    return (honest + SHIFT) * SURE, truth, [f"speaker {index % 20}" for index in range(clips)]


def test_the_temperature_and_bias_that_were_taken_away_are_found() -> None:
    logits, truth, _ = outcomes(3000)
    temperature, bias = fit_platt(logits[:, 1], truth[:, 1])
    assert temperature == pytest.approx(SURE, rel=0.1)
    assert bias == pytest.approx(-SHIFT, rel=0.1)


def test_the_fit_is_where_the_penalised_likelihood_is_least() -> None:
    logits, truth, _ = outcomes(60)

    def penalised(temperature: float, bias: float) -> float:
        probabilities = Platt(temperature, bias).apply(logits[:, 2])
        given = np.where(truth[:, 2], probabilities, 1 - probabilities)
        return float(-np.log(given).sum() + (np.log(temperature) ** 2 + bias**2) / 2)

    temperature, bias = fit_platt(logits[:, 2], truth[:, 2])
    best = penalised(temperature, bias)
    for step in (-0.02, 0.02):
        assert penalised(temperature * (1 + step), bias) > best
        assert penalised(temperature, bias + step) > best


@pytest.mark.parametrize("there", [True, False])
def test_a_defect_that_all_or_none_have_is_not_fitted(there: bool) -> None:
    assert fit_platt(np.linspace(-3, 3, 20), np.full(20, there)) == (1.0, 0.0)


def test_thresholds_hold_the_error_of_each_defect_on_others() -> None:
    fitted = calibrate_defects(*outcomes(4000, seed=1), CLASSES, {}, CalibrationSettings(max_accepted_error=0.1))
    assert set(fitted.summary["defects"]) == set(CLASSES[1:])
    logits, truth, _ = outcomes(4000, seed=9)
    probabilities = fitted.calibration.apply(logits)
    words = [list(fitted.calibration.verdicts(CLASSES, row, {}).values()) for row in probabilities.tolist()]
    for column in range(3):
        said = np.array([row[column] for row in words])
        for word, right in ((Verdict.yes, truth[:, 1 + column]), (Verdict.no, ~truth[:, 1 + column])):
            assert (said == word).mean() > 0.02
            assert (~right[said == word]).mean() < 0.12


def test_the_note_tells_the_certified_from_the_others() -> None:
    sure, unsure = (
        {"accepted": 90, "errors": 1, "error_at_most": 0.052},
        {"accepted": 9, "errors": 0, "error_at_most": 0.28},
    )

    def certified(**accepted: Any) -> dict[str, Any]:
        return certification_of_defects({"defects": {name: {"accepted": of} for name, of in accepted.items()}}, 0.1)

    assert certified(burr=sure, stutter=unsure) == {
        "certified": False,
        "limit": 0.1,
        "defects": {"burr": True, "stutter": False},
        "note": "certified for 0.1: burr; not certified: stutter",
    }
    assert certified(burr=sure, stutter=sure)["note"] == "certified for 0.1: burr, stutter"
    assert certified(burr=unsure, stutter=unsure)["note"] == "not certified for 0.1: burr, stutter"


def test_a_rare_defect_is_not_named_on_the_strength_of_those_without_it() -> None:
    """Of a hundred clips five seem to have it, of which two do: an error of 3%, and yet most of what is named."""
    logits = np.concatenate([np.full(95, -6.0), np.full(5, 1.0)])
    truth = np.concatenate([np.zeros(95, dtype=bool), [True, False, True, False, False]])
    units = [f"speaker {index}" for index in range(100)]
    both = np.stack([logits, logits], axis=1), np.stack([~truth, truth], axis=1)
    fitted = calibrate_defects(*both, units, ("none", "burr"), {}, CalibrationSettings(max_accepted_error=0.1))
    assert isinstance(fitted.calibration, MultilabelCalibration)
    verdicts = [fitted.calibration.of("burr").verdict(p) for p in fitted.calibration.apply(both[0])[:, 1]]
    assert set(verdicts[:95]) == {"no"}
    assert "yes" not in verdicts[95:]


def test_without_validation_clips_nothing_is_changed() -> None:
    nothing = np.zeros((0, 4)), np.zeros((0, 4), dtype=bool), []
    fitted = calibrate_defects(*nothing, CLASSES, {}, CalibrationSettings())
    assert fitted.calibration == MultilabelCalibration(CLASSES, fewest_letters=0.5)
    assert "no labelled clip" in fitted.summary["note"]


def test_reliability_is_of_every_defect_and_of_all_decisions() -> None:
    logits, truth, units = outcomes(400)
    honest = MultilabelCalibration(CLASSES, {name: Platt(SURE, -SHIFT, 0.8, 0.8) for name in CLASSES[1:]})
    figures = reliability_of_defects(logits, truth, units, honest)
    assert (figures["clips"], figures["units"]) == (1200, 20)
    assert set(figures["defects"]) == set(CLASSES[1:])
    for of in (figures, *figures["defects"].values()):
        for name in ("ece", "brier", "nll"):
            assert of["change"][name]["high"] < 0
    probabilities = honest.apply(logits)[:, 1]
    assert figures["defects"]["burr"]["after"]["brier"]["value"] == pytest.approx(
        2 * ((probabilities - truth[:, 1]) ** 2).mean()
    )
    accepted = figures["defects"]["burr"]["accepted"]
    assert accepted["accepted"] == ((probabilities >= 0.8) | (probabilities <= 0.2)).sum()
    json.dumps(figures, allow_nan=False)
    with pytest.raises(ValueError, match="no clip"):
        reliability_of_defects(np.zeros((0, 4)), np.zeros((0, 4), dtype=bool), [], honest)


TRUTH = [("none",), ("burr",), ("burr", "stutter"), ("stutter",)]
SAID = [("none",), ("burr", "stutter"), ("burr", "stutter"), ("none",)]


def test_figures_count_a_clip_for_each_of_its_classes() -> None:
    figures = multilabel_metrics(TRUTH, SAID, ("none", "burr", "stutter"))
    assert figures["per_class"]["burr"] == {
        "precision": 1.0, "recall": 1.0, "f1": 1.0, "clips": 2,
        "true_positive": 2, "false_positive": 0, "false_negative": 0, "true_negative": 2,
    }  # fmt: skip
    assert figures["per_class"]["stutter"]["f1"] == pytest.approx(0.5)
    assert figures["per_class"]["none"]["precision"] == 0.5
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1.0 + 0.5) / 3)
    assert figures["accuracy"] == 0.5
    assert figures["majority_macro_f1"] == pytest.approx((2 * 2 / (2 * 2 + 2)) / 3)
    assert "confusion" not in figures
    with pytest.raises(NothingToJudge):
        multilabel_metrics([], [], ("none", "burr"))


def test_of_one_class_a_clip_both_kinds_of_figures_agree() -> None:
    truth, said = [("none",), ("burr",), ("none",), ("burr",)], [("none",), ("none",), ("burr",), ("burr",)]
    one = metrics_of(truth, said, ("none", "burr"), exclusive=True)
    other = metrics_of(truth, said, ("none", "burr"), exclusive=False)
    assert (one["exclusive"], other["exclusive"]) == (True, False)
    assert other["macro_f1"] == pytest.approx(one["macro_f1"])
    assert other["accuracy"] == one["accuracy"]
    assert "confusion" in one


def test_sets_are_compared_in_pairs() -> None:
    units = [f"s{index}" for index in range(40)]
    classes = ("none", "burr", "stutter")
    found = paired_difference(TRUTH * 10, SAID * 10, SAID * 10, units, classes)
    same = with_risk(found.as_dict(), found.worse_by, 0.01)
    assert (same["difference"]["value"], same["risk"]) == (0.0, 0.0)
    found = paired_difference(TRUTH * 10, SAID * 10, TRUTH * 10, units, classes)
    worse = with_risk(found.as_dict(), found.worse_by, 0.01)
    ours = multilabel_metrics(TRUTH, SAID, classes)["macro_f1"]
    assert worse["difference"]["value"] == pytest.approx(ours - 1.0)
    assert worse["risk"] == 1.0


@pytest.fixture
def hums(tmp_path: Path) -> Corpus:
    """Hums whose last clip of each four has a burr besides its stutter."""
    given = corpus(tmp_path, {"train": 4, "validation": 24, "test": 12})
    records = tuple(
        replace(record, label="burr", also=("stutter",)) if record.label == "stutter" else record
        for record in given.clips.records
    )
    clips = replace(given.clips, records=records, meta=given.clips.meta | {"exclusive": False})
    return replace(given, clips=clips)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    save_model(tiny_multilabel_model(3), folder)
    assert not load_model(folder).spec.exclusive
    return folder


def judged(hums: Corpus, trained: Path, champion: Path | None = None) -> Judgement:
    settings = CalibrationSettings(max_accepted_error=0.1, fewest_letters=0.7, batch_size=4)
    fitted = calibrate_model(hums, trained, settings, "cpu", ignore)
    found = evaluate(hums, trained, champion, "none", 4, "cpu", ignore, fitted)
    found.metrics["champion"] = with_risk(found.metrics["champion"], found.worse_by, 0.01)
    return found


def test_the_bundle_answers_as_was_measured(hums: Corpus, trained: Path, data_home: Home, tmp_path: Path) -> None:
    report = judged(hums, trained)
    metrics = report.metrics
    assert metrics["exclusive"] is False
    assert metrics["per_class"]["burr"]["clips"] == 6
    assert metrics["per_class"]["stutter"]["clips"] == 3
    applied = MultilabelCalibration.from_dict(metrics["calibration"]["applied"], CLASSES)
    assert applied.letters["burr"] == ("р",)
    for answer in report.answers:
        np.testing.assert_allclose(answer["probabilities"], applied.apply(np.array(answer["logits"])))
    assert metrics["calibration"]["verdicts"]["stutter"]["yes"].keys() == {"clips", "with_defect"}
    assert sum(row["with_defect"] for row in metrics["calibration"]["verdicts"]["burr"].values()) == 6
    assert [condition.name for condition in check(Gate(), metrics)]
    folder = make_bundle(
        data_home, PLAN, trained, hums, metrics, report.answers, applied, BundleSettings(), NAMES, ignore
    )
    bundle = load_bundle(folder)
    assert not bundle.config.model.exclusive
    assert bundle.calibration == applied
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Several defects may be heard at once" in card
    assert card.count("\n| stutter |") == 2
    assert "Accuracy, here and by group, is the share of clips whose classes\nare all right." in card


def test_the_card_counts_a_clip_under_each_of_its_defects(hums: Corpus, trained: Path, data_home: Home) -> None:
    config = read_config(write_tiny_bundle(data_home, "several", model=tiny_multilabel_model(3)))
    card = model_card(config, judged(hums, trained).metrics, hums)
    assert "| train | 4 | 2 | 0.00 | 1 | 2 | 1 | 1 | 0 |" in card  # of four clips one has two
    assert "other than these in training, with their clips: burr and stutter (1)." in card
    assert "{" not in card
    assert "\n\n\n" not in card
    records = tuple(replace(record, also=()) for record in hums.clips.records)
    alone = replace(hums, clips=replace(hums.clips, records=records))
    assert "Defects together: no training clip has more than one." in model_card(
        config, judged(alone, trained).metrics, alone
    )


def test_groups_and_showcase_are_judged_by_all_that_is_named(
    hums: Corpus, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = MultilabelCalibration(
        CLASSES, {name: Platt(bias=50.0 - 100.0 * (name == "fricative_g")) for name in CLASSES}
    )
    summary = {"note": "given", "defects": {}, "max_accepted_error": 0.1}
    monkeypatch.setattr("pipeline.defects.calibration.calibrate_defects", lambda *_: Fitted(both, summary))
    records = tuple(replace(record, group="adults") for record in hums.clips.records)
    metrics = judged(replace(hums, clips=replace(hums.clips, records=records)), trained).metrics
    (adults,) = metrics["groups"]
    assert metrics["accuracy"] == pytest.approx(3 / 12)  # the clips that have a burr and a stutter
    assert adults["accuracy"]["value"] == metrics["accuracy"]
    assert adults["macro_f1"]["value"] == pytest.approx(metrics["macro_f1"])
    assert {row["kind"]: row["labels"] == ["burr", "stutter"] for row in metrics["showcase"]} == {
        "right": True,
        "wrong": False,
    }
    assert all(list(row["named"]) == ["burr", "stutter"] for row in metrics["showcase"])


def test_the_run_shows_every_defect(hums: Corpus, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    judged(hums, trained).write(folder)
    metrics = read_json(folder / METRICS)
    entries = MaterializeResult(metadata=shown(metrics, folder) | shown_per_defect(metrics)).metadata
    assert entries is not None
    assert "confusion" not in entries
    assert "data:image/png" in entries["reliability"].value
    assert "of 36 decisions whether a clip has a defect" in str(entries["judged_outright"])
    assert [record.data["defect"] for record in entries["calibration_per_defect"].value.records] == list(CLASSES[1:])


def test_a_champion_of_the_other_kind_is_not_compared(hums: Corpus, trained: Path, data_home: Home) -> None:
    champion = write_tiny_bundle(data_home, "champion", seed=3)
    compared = judged(hums, trained, champion).metrics["champion"]
    assert "macro_f1" not in compared
    assert compared["left_out"] == (
        "to champion in service a clip has one class, to this model several defects: figures do not compare"
    )
    with pytest.raises(NothingToJudge, match="exclusive to true"):
        score(hums, champion, 4, "cpu", ignore)


def test_a_champion_of_the_same_kind_is(hums: Corpus, trained: Path, data_home: Home) -> None:
    always = MultilabelCalibration(CLASSES, {name: Platt(bias=1e6) for name in CLASSES[1:]})
    champion = write_tiny_bundle(data_home, "champion", model=tiny_multilabel_model(3), calibration=always)
    compared = judged(hums, trained, champion).metrics["champion"]
    burr, g, stutter = (2 * n / (12 + n) for n in (6, 3, 3))
    assert compared["macro_f1"] == pytest.approx((burr + g + stutter) / 4)
    assert compared["difference"]["low"] is not None
    figures = score(hums, champion, 4, "cpu", ignore)
    assert figures["per_class"]["burr"]["recall"] == 1.0
    assert figures["exclusive"] is False


def test_without_validation_clips_it_says_so_and_goes_on(tmp_path: Path, trained: Path) -> None:
    bare = corpus(tmp_path, {"test": 8})
    report = judged(replace(bare, clips=replace(bare.clips, meta={"exclusive": False})), trained)
    assert "no labelled clip" in report.metrics["calibration"]["fit"]["note"]
    assert shown_per_defect(report.metrics)
