"""What the recogniser's demonstration must show to count as passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.demo.recorded_metrics import number
from deploy.demo.service_client import TranscriptAnswer

_ASSET = "asr_evaluation"


@dataclass(frozen=True)
class WordErrors:
    """The word error rate of the test split (None where it holds no word), its 95% interval (None where none could be
    drawn), and the greatest that the gate lets pass."""

    wer: float | None
    max_wer: float
    low: float | None = None
    high: float | None = None


def read_word_errors(judged: Mapping[str, Any], bundle: Mapping[str, Any]) -> WordErrors:
    """The word errors in the metadata of the asset `asr_evaluation`, and the gate's limit in those of `asr_bundle`.

    Raises `deploy.demo.recorded_metrics.RecordedMetricError`.
    """
    most = number(bundle, "max_wer", "asr_bundle")
    if judged.get("words") == 0:
        return WordErrors(None, most)
    rates = {"wer": number(judged, "wer", _ASSET)}
    if "wer_low" in judged:
        rates |= {name: number(judged, f"wer_{name}", _ASSET) for name in ("low", "high")}
    return WordErrors(**rates, max_wer=most)


def shortcomings(run_bundle: str, ours: TranscriptAnswer, theirs: str, errors: WordErrors) -> list[str]:
    """Why the demonstration did not pass, one sentence each; empty where it did. NaN never passes; what could not be
    measured speaks neither for it nor against it."""
    found = []
    if ours.bundle != run_bundle:
        found.append(f"the answer came from bundle {ours.bundle}, not from {run_bundle}, which this run published")
    if ours.text != theirs:
        found.append(f"the routes differ: /api/transcribe heard {ours.text!r}, /v1/audio/transcriptions {theirs!r}")
    if not ours.text.strip():
        found.append("no word was heard in the test clip")
    if errors.wer is not None and not errors.wer <= errors.max_wer:
        found.append(f"the word error rate {errors.wer:.3f} is above {errors.max_wer:g}")
    return found
