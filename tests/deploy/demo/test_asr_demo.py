"""The end of the recogniser's demonstration, against a local stand-in for the service."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.demo import asr_demo
from deploy.demo.asr_criteria import WordErrors, read_word_errors, shortcomings
from deploy.demo.recorded_metrics import RecordedMetricError
from deploy.demo.service_client import Service, ServiceError, TranscriptAnswer
from deploy.demo.training import DemoError
from tests.deploy.stand_in import StandIn, stand_in

__all__ = ["stand_in"]
HEARD = TranscriptAnswer("пять два", 0.9, "asr-1", 1.5)
ERRORS = WordErrors(0.1, 0.2)


def recorded(clip: Path, **figures: Any) -> dict[str, dict[str, Any]]:
    rates = {"wer": 0.1, "wer_low": 0.05, "wer_high": 0.15} | figures
    evaluation = {"example_clip": str(clip), "example_text": "Пять, два", **rates}
    return {"asr_bundle": {"bundle_id": "asr-1", "max_wer": 0.2}, "asr_evaluation": evaluation}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"sound")
    return path


def ask(stand_in: StandIn, metadata: dict[str, dict[str, Any]]) -> tuple[list[str], str]:
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    return asr_demo.ask(console, Service(stand_in.address.url), metadata, lambda: None), printed.getvalue()


def test_a_test_clip_is_transcribed_by_both_routes_once_the_bundle_serves(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = [None, "asr-0", "asr-1"]
    problems, printed = ask(stand_in, recorded(clip))
    assert problems == []
    assert stand_in.posted == [("clip.wav", b"sound")] * 2
    assert set(stand_in.asked) == {"/api/model?recipe=asr"}
    assert printed.count("пять два") == 2
    assert "Пять, два" in printed
    assert "word error rate 0.100, 95% interval 0.050 to 0.150 (at most 0.2)" in printed


def test_routes_that_differ_fall_short(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = ["asr-1"]
    stand_in.heard["/v1/audio/transcriptions"] = "пять"
    (problem,), _ = ask(stand_in, recorded(clip))
    assert "'пять два'" in problem
    assert "'пять'" in problem


def test_a_bundle_that_is_refused_ends_the_wait(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = ["asr-0"]
    stand_in.refused = {"bundle": "asr-1", "reason": "its checksum differs"}
    with pytest.raises(ServiceError, match="its checksum differs"):
        ask(stand_in, recorded(clip))


@pytest.mark.parametrize("entry", ["example_clip", "example_text"])
def test_an_entry_that_the_run_did_not_record_is_named(stand_in: StandIn, clip: Path, entry: str) -> None:
    metadata = recorded(clip)
    del metadata["asr_evaluation"][entry]
    with pytest.raises(DemoError, match=entry):
        ask(stand_in, metadata)


@pytest.mark.parametrize(
    ("heard", "theirs", "errors", "word"),
    [
        (TranscriptAnswer("пять два", 0.9, "asr-0", 1.5), "пять два", ERRORS, "asr-0"),
        (HEARD, "пять", ERRORS, "differ"),
        (TranscriptAnswer(" ", 0.9, "asr-1", 1.5), " ", ERRORS, "no word"),
        (HEARD, "пять два", WordErrors(0.21, 0.2), "0.210 is above 0.2"),
        (HEARD, "пять два", WordErrors(math.nan, 0.2), "is above"),
        (HEARD, "пять два", WordErrors(0.1, math.nan), "is above"),
    ],
)
def test_each_figure_can_fail_alone(heard: TranscriptAnswer, theirs: str, errors: WordErrors, word: str) -> None:
    (problem,) = shortcomings("asr-1", heard, theirs, errors)
    assert word in problem


def test_a_rate_at_the_threshold_passes() -> None:
    assert shortcomings("asr-1", HEARD, "пять два", WordErrors(0.2, 0.2)) == []


def test_figures_come_from_the_evaluations_metadata() -> None:
    assert read_word_errors({"wer": 0.1}, {"max_wer": 1}) == WordErrors(0.1, 1.0)
    with pytest.raises(RecordedMetricError, match="max_wer with the asset asr_bundle"):
        read_word_errors({"wer": 0.1}, {})
    with pytest.raises(RecordedMetricError, match="wer with the asset asr_evaluation"):
        read_word_errors({}, {"max_wer": 1})


def test_a_rate_of_no_words_could_not_be_measured(stand_in: StandIn, clip: Path) -> None:
    stand_in.serving = ["asr-1"]
    metadata = recorded(clip, wer=0.0, words=0)
    assert read_word_errors(metadata["asr_evaluation"], metadata["asr_bundle"]) == WordErrors(None, 0.2)
    problems, printed = ask(stand_in, metadata)
    assert problems == []
    assert "the word error rate could not be measured: no words in its texts" in printed
    stand_in.heard["/api/transcribe"] = stand_in.heard["/v1/audio/transcriptions"] = " "
    assert ask(stand_in, metadata)[0] == ["no word was heard in the test clip"]
