"""A recogniser's judgement: rates over the corpus, beside the champion, on test clips alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from dagster import MaterializeResult

from pipeline.assets.asr_evaluation import shown
from pipeline.bundling.plan import BundlePlan
from pipeline.bundling.settings import BundleSettings
from pipeline.clips.dataset import ClipSet
from pipeline.evaluation import ANSWERS, EXAMPLE, METRICS, WORSE_BY
from pipeline.evaluation.bootstrap import with_risk
from pipeline.evaluation.metrics import NothingToJudge
from pipeline.recognition.judgement import BY_LENGTH, BY_SPEAKER, WORST, Judgement, evaluate
from pipeline.recognition.publication import make_recogniser_bundle
from pipeline.recognition.report import REPORT
from pipeline.recognition.settings import RecogniserSettings
from pipeline.recognition.utterances import recognise, utterances
from speech.bundles.defects import BundleError, trained_on
from speech.bundles.gate import WerGate
from speech.bundles.recogniser import load_recogniser_bundle
from speech.ctc.folder import Recogniser, save_recogniser
from speech.files import read_json
from speech.home import Home
from speech.text.language import load_language
from speech.text.normalisation import normalise
from tests import clip_sets
from tests.recognisers import tiny_lasr, tiny_recogniser

SPLITS = {"train": 4, "validation": 4, "test": 12}


def ignore(_: str) -> None:
    """Lines of progress are not looked at here."""


def hums(folder: Path, *texts: str) -> ClipSet:
    folder.mkdir(parents=True, exist_ok=True)
    return clip_sets.hums(folder, SPLITS, ("speech",), lambda number: texts[number % len(texts)] or None, 1.0)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Recogniser:
    return tiny_recogniser(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def trained(recogniser: Recogniser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "model"
    save_recogniser(recogniser, folder)
    return folder


@pytest.fixture(scope="module")
def heard(recogniser: Recogniser, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the recogniser hears in the test clips, in order; it hears something in each."""
    spoken = utterances(hums(tmp_path_factory.mktemp("heard"), "да"), "test")
    texts = [answer.text for answer in recognise(recogniser, spoken, 4, ignore)]
    assert all(texts)
    return texts


def judged(clips: ClipSet, trained: Path, champion: Path | None = None) -> Judgement:
    found = evaluate(clips, trained, champion, "none in service", 4, "cpu", ignore)
    found.metrics["champion"] = with_risk(found.metrics["champion"], found.worse_by, 0.01)
    return found


def test_what_is_heard_as_it_was_said_is_no_error_however_it_is_written(
    tmp_path: Path, trained: Path, heard: list[str]
) -> None:
    clips = hums(tmp_path, *(text.upper() + "!" for text in heard))
    metrics = judged(clips, trained).metrics
    assert (metrics["wer"], metrics["cer"]) == (0.0, 0.0)
    assert metrics["raw_wer"] > 0.9
    assert metrics["errors"] == {"substitutions": 0, "insertions": 0, "deletions": 0}
    assert metrics["worst"] == []
    assert metrics["interval"] == {"low": 0.0, "high": 0.0}
    assert (metrics["clips"], metrics["speakers"], metrics["speakers_known"]) == (12, 6, True)
    assert metrics["champion"] == {"bundle": None, "left_out": "none in service"}


def test_the_rate_is_of_the_test_corpus_and_its_worst_utterances_can_be_heard(
    tmp_path: Path, trained: Path, heard: list[str]
) -> None:
    wrong = {3: "совсем другое", 8: heard[8] + " ещё"}
    texts = [wrong.get(index, text) for index, text in enumerate(heard)]
    clips = hums(tmp_path / "clips", *texts)
    found = judged(clips, trained)
    words = sum(len(normalise(text, load_language("ru")).split()) for text in texts)
    assert found.metrics["words"] == words
    assert found.metrics["wer"] == pytest.approx(sum(found.metrics["errors"].values()) / words)
    assert found.metrics["errors"]["deletions"] >= 1
    assert [row["reference"] for row in found.metrics["worst"]] == ["совсем другое", heard[8] + " ещё"]
    assert {"reference": "еще", "hypothesis": "", "count": 1} in found.metrics["confusions"]
    folder = tmp_path / "evaluation"
    folder.mkdir()
    found.write(folder)
    assert {path.name for path in folder.iterdir()} == {
        METRICS, ANSWERS, WORSE_BY, EXAMPLE, REPORT, WORST, BY_SPEAKER, BY_LENGTH,
    }  # fmt: skip
    sound, rate = soundfile.read(folder / found.metrics["worst"][0]["file"])
    record = clips.of_split("test")[3]
    assert rate == 16_000
    np.testing.assert_allclose(sound, clips.samples(record), atol=1e-4)
    entries = MaterializeResult(metadata=shown(read_json(folder / METRICS) | {"validation_wer": None}, folder)).metadata
    assert entries is not None
    assert "data:image/png" in entries["wer_by_length"].value
    assert entries["example_text"] in texts


def test_order_and_batches_change_nothing(tmp_path: Path, recogniser: Recogniser) -> None:
    spoken = utterances(hums(tmp_path, "да"), "test")
    one, eight = (recognise(recogniser, spoken, size, ignore) for size in (1, 8))
    assert [answer.text for answer in one] == [answer.text for answer in eight]


def test_without_a_word_there_is_nothing_to_judge(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(NothingToJudge, match="asr_clips"):
        judged(hums(tmp_path / "a", ""), trained)
    with pytest.raises(NothingToJudge, match="asr_clips"):
        judged(hums(tmp_path / "b", "!?"), trained)


def bundle_of(
    home: Home, trained: Path, clips: ClipSet, found: Judgement, name: str = "asr-made", **settings: Any
) -> Path:
    plan = BundlePlan(name, "run", WerGate(max_wer=9.0), {"recogniser": "k"}, "asr")
    training = RecogniserSettings(start_from="encoders/small", **settings)
    return make_recogniser_bundle(home, plan, trained, clips, found.metrics, found.answers, BundleSettings(), training)


def test_the_bundle_hears_as_was_measured(tmp_path: Path, trained: Path, heard: list[str], data_home: Home) -> None:
    clips = hums(tmp_path / "clips", *heard[:6], "другое")
    found = judged(clips, trained)
    folder = bundle_of(data_home, trained, clips, found)
    bundle = load_recogniser_bundle(folder)
    assert bundle.config.recipe == "asr"
    assert bundle.config.language == "ru"
    assert bundle.metrics["wer"] == found.metrics["wer"]
    spoken = utterances(clips, "test")
    again = recognise(bundle.recogniser, spoken, 3, ignore)
    assert [answer.text for answer in again] == [row["text"] for row in found.answers]
    assert trained_on(folder) == {record.content for record in clips.records if record.split != "test"}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{found.metrics['wer']:.3f}" in card
    assert "encoders/small" in card
    assert "6 speakers who are in no training split" in card
    assert "Not compared: none in service" in card
    assert "Validation clips chose the checkpoint" in card
    assert "espeak-ng" not in card


def test_the_card_says_what_was_learnt_from(tmp_path: Path, trained: Path, heard: list[str], data_home: Home) -> None:
    clips = hums(tmp_path / "clips", *heard[:2])
    folder = bundle_of(data_home, trained, clips, judged(clips, trained), checkpoint="last", generated=2.0)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Validation clips were learnt from" in card
    assert "chose the checkpoint" not in card
    assert "espeak-ng said 2 more" in card


def test_a_bundle_that_hears_otherwise_is_not_left(
    tmp_path: Path, trained: Path, heard: list[str], data_home: Home
) -> None:
    clips = hums(tmp_path / "clips", *heard)
    found = judged(clips, trained)
    answers = [row | {"text": row["text"] + " и ещё много других слов"} for row in found.answers]
    with pytest.raises(BundleError, match="hears otherwise than the model that was measured"):
        bundle_of(data_home, trained, clips, replace(found, answers=answers))
    assert not (data_home.bundles / "asr-made").exists()
    unsure = [row | {"confidence": row["confidence"] / 2} for row in found.answers]
    with pytest.raises(BundleError, match="confidence by up to"):
        bundle_of(data_home, trained, clips, replace(found, answers=unsure))


def test_a_worse_recogniser_is_told_from_the_champion(
    tmp_path: Path, trained: Path, heard: list[str], data_home: Home
) -> None:
    clips = hums(tmp_path / "clips", *heard)
    good = judged(clips, trained)
    champion = bundle_of(data_home, trained, clips, good, "asr-good")
    same = judged(clips, trained, champion).metrics["champion"]
    assert (same["bundle"], same["wer"], same["candidate_wer"], same["risk"]) == ("asr-good", 0.0, 0.0, 0.0)
    assert (same["clips"], same["excluded"]) == (12, 0)
    other = tmp_path / "other"
    save_recogniser(tiny_lasr(), other)
    worse = judged(clips, other, champion).metrics["champion"]
    assert worse["risk"] == 1.0
    assert worse["difference"]["low"] > worse["margin"] == 0.01
    assert worse["candidate_wer"] > 0.5


def test_clips_that_the_champion_was_trained_on_do_not_count(
    tmp_path: Path, trained: Path, heard: list[str], data_home: Home
) -> None:
    clips = hums(tmp_path / "clips", *heard)
    good = judged(clips, trained)
    champion = bundle_of(data_home, trained, clips, good, "asr-good")
    moved = ClipSet(
        clips.folder,
        tuple(type(r)(**(r.as_dict() | {"split": "test"})) for r in clips.records),
        clips.classes,
        "ru",
        True,
        clips.meta,
    )
    beside = judged(moved, trained, champion).metrics["champion"]
    assert (beside["clips"], beside["excluded"]) == (12, 8)
    few = ClipSet(clips.folder, clips.records[:17], clips.classes, "ru", True, clips.meta)
    assert "too few to compare on" in judged(few, trained, champion).metrics["champion"]["left_out"]


def test_a_champion_of_another_language_is_not_compared(
    tmp_path: Path, trained: Path, heard: list[str], data_home: Home
) -> None:
    clips = hums(tmp_path / "clips", *heard)
    good = judged(clips, trained)
    champion = bundle_of(data_home, trained, clips, good, "asr-good")
    english = ClipSet(clips.folder, clips.records, clips.classes, "en", True, clips.meta)
    assert "another language: ru" in judged(english, trained, champion).metrics["champion"]["left_out"]
