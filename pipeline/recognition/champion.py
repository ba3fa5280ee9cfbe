"""The recogniser in service, judged on the same utterances as its challenger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.bootstrap import paired, unit
from pipeline.evaluation.comparable_clips import not_trained_on
from pipeline.progress import Report
from pipeline.recognition.scoring import Scored, error_rate, score, word_counts
from pipeline.recognition.utterances import Utterance, recognise
from speech.bundles.defects import BundleError, trained_on
from speech.bundles.recogniser import load_recogniser_bundle


def compare(
    folder: Path,
    spoken: Sequence[Utterance],
    ours: Sequence[Scored],
    language: str,
    normalise: Callable[[str], str],
    batch_size: int,
    device: str,
    report: Report,
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Both models' word error rate on the utterances that the champion was not trained on.

    `ours` are the challenger's, one per utterance. The result has `bundle`, and either `wer`, `candidate_wer`,
    `clips`, `words`, `excluded`, `difference` (candidate less champion: above zero is worse) and `units`, or `left_out`
    with the reason why nothing was compared. Beside it `pipeline.evaluation.bootstrap.Difference.worse_by`, empty
    where nothing was compared.
    """
    result: dict[str, Any] = {"bundle": folder.name}
    try:
        champion, seen = load_recogniser_bundle(folder, device), trained_on(folder)
    except BundleError as error:
        return result | {"left_out": f"the bundle in service cannot be loaded: {error}"}, ()
    if champion.config.language != language:
        return result | {"left_out": f"{folder.name} in service hears another language: {champion.config.language}"}, ()
    fair, left_out = not_trained_on(folder.name, [one.content for one in spoken], seen)
    if left_out:
        return result | {"left_out": left_out}, ()
    chosen = [spoken[index] for index in fair]
    heard = recognise(champion.recogniser, chosen, batch_size, report)
    theirs = score([normalise(one.text) for one in chosen], [normalise(said.text) for said in heard])
    pairs = np.stack([word_counts([ours[index] for index in fair]), word_counts(theirs)], axis=1)
    found = paired(pairs, _difference, [unit(one) for one in chosen], worse=1)
    compared = {
        "wer": error_rate(pairs[:, 1]),
        "candidate_wer": error_rate(pairs[:, 0]),
        "clips": len(chosen),
        "words": int(pairs[:, 1, 1].sum()),
        "excluded": len(spoken) - len(chosen),
    }
    return result | compared | found.as_dict(), found.worse_by


def _difference(pairs: np.ndarray) -> float:
    """`pairs` (utterances, 2, 2): ours and theirs, each errors and words."""
    return error_rate(pairs[:, 0]) - error_rate(pairs[:, 1])
