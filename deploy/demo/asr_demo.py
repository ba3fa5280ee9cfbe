"""The end of the recogniser's demonstration: a test clip is transcribed by both routes, beside what was said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from deploy.demo.asr_criteria import WordErrors, read_word_errors, shortcomings
from deploy.demo.service_client import LOAD_SECONDS, Service
from deploy.demo.training import Metadata, entry, say

_RECIPE = "asr"


def ask(console: Console, service: Service, metadata: Metadata, check: Callable[[], None]) -> list[str]:
    """Wait for the run's bundle to serve, have a test clip transcribed, print everything; returns what falls short."""
    bundle = entry(metadata, "asr_bundle", "bundle_id")
    errors = read_word_errors(metadata.get("asr_evaluation", {}), metadata["asr_bundle"])
    clip = Path(entry(metadata, "asr_evaluation", "example_clip"))
    reference = entry(metadata, "asr_evaluation", "example_text")
    since = time.monotonic()
    service.wait_for(bundle, LOAD_SECONDS, check, recipe=_RECIPE)
    say(console, f"\nbundle {bundle} in service {time.monotonic() - since:.1f} s after the run's end")
    ours, theirs = service.transcribe(clip), service.transcribe_for_openai(clip)
    say(console, f"\n{clip}, a test clip that nothing was trained on, {ours.seconds:.1f} s:")
    say(console, f"  was said                       {reference}")
    say(console, f"  POST /api/transcribe           {ours.text}  (confidence {ours.confidence:.2f}, {ours.bundle})")
    say(console, f"  POST /v1/audio/transcriptions  {theirs}")
    say(console, error_line(errors))
    return shortcomings(bundle, ours, theirs, errors)


def error_line(errors: WordErrors) -> str:
    """The word error rate of the test split beside what the gate lets pass."""
    if errors.wer is None:
        return "\ntest split: the word error rate could not be measured: no words in its texts"
    sure = "" if errors.low is None else f", 95% interval {errors.low:.3f} to {errors.high:.3f}"
    return f"\ntest split: word error rate {errors.wer:.3f}{sure} (at most {errors.max_wer:g})"
