from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline.recognition.report import markup
from pipeline.recognition.scoring import score

METRICS: dict[str, Any] = {
    "wer": 0.25,
    "interval": {"low": 0.1, "high": 0.4},
    "cer": 0.1,
    "raw_wer": 0.5,
    "raw_cer": 0.2,
    "clips": 4,
    "words": 16,
    "seconds": 9.0,
    "speakers": 1,
    "speakers_known": True,
    "errors": {"substitutions": 1, "deletions": 2, "insertions": 1},
    "champion": {"bundle": "asr-1", "wer": 0.3, "candidate_wer": 0.25, "clips": 4},
    "by_length": [{"from": 1.0, "to": 2.0, "clips": 4, "words": 16, "wer": 0.25, "low": 0.1, "high": 0.4}],
    "by_speaker": [{"speaker": "<script>alert(1)</script>", "clips": 4, "words": 16, "wer": 0.25}],
    "confusions": [{"reference": "", "hypothesis": "на", "count": 1}],
}


def worst(folder: Path, seconds: float = 0.2) -> dict[str, Any]:
    (folder / "worst").mkdir(exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.3, int(16_000 * seconds))
    soundfile.write(folder / "worst" / "a1.flac", noise, 16_000)
    return {
        "clip": "a1",
        "speaker": None,
        "seconds": seconds,
        "reference": "включи <b>свет</b>",
        "text": "включи цвет на",
        "confidence": 0.5,
        "words": 2,
        "errors": 2,
        "file": "worst/a1.flac",
    }


def page(folder: Path, rows: list[dict[str, Any]]) -> str:
    return markup(
        METRICS | {"worst": rows}, score(["включи свет"] * len(rows), ["включи цвет на"] * len(rows)), folder, []
    )


def test_errors_are_marked_and_heard_and_a_users_text_is_no_markup(tmp_path: Path) -> None:
    text = page(tmp_path, [worst(tmp_path)])
    # Which of two neighbouring words replaces the one that was said is the alignment's to choose.
    assert re.search(r"<del>свет</del>", text)
    assert re.search(r"<ins>[^<]*цвет", text)
    assert "включи &lt;b&gt;свет&lt;/b&gt;" in text
    assert "<script>" not in text
    assert "0.250 [0.100, 0.400]" in text
    assert "0.250 against 0.300 of asr-1" in text
    assert 'src="data:audio/flac;base64,' in text


def test_sound_beyond_what_a_page_may_hold_is_linked(tmp_path: Path) -> None:
    row = worst(tmp_path, 75.0)
    size = (tmp_path / row["file"]).stat().st_size
    assert 1 << 21 < size < 1 << 22
    text = page(tmp_path, [row, row])
    assert text.count("data:audio/flac") == 1
    assert text.count('src="worst/a1.flac"') == 1


def test_without_an_error_there_is_nothing_to_hear(tmp_path: Path) -> None:
    assert "Every word was heard as it was said" in page(tmp_path, [])
