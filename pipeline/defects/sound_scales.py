"""What a score a sound means: from the figures of a letter to the probability that it is said with a defect.

Labels are of clips. A clip of a class that is told by letters counts as one in which all of them have the defect, any
other as one in which none has: a trait of the speaker, as burr and fricative г are, is heard in every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.defects.corpus import Corpus
from pipeline.defects.predictions import LabelledClip
from pipeline.evaluation.bootstrap import unit
from speech.defects.diagnose import Diagnosis
from speech.defects.sounds import SoundScale, figures, span_of
from speech.defects.spec import REFERENCE_CLASS, ModelSpec
from speech.text.alignment import AlignmentError, align
from speech.text.language import Language, load_language

FEWEST_SOUNDS = 20  # with the defect, and without; fewer fit nothing
FEWEST_VOICES = 2  # of each kind
_FOLDS = 5


def sound_scales(
    corpus: Corpus,
    clips: Sequence[LabelledClip],
    answers: Sequence[Diagnosis],
    letters: Mapping[str, Sequence[str]],
    spec: ModelSpec,
) -> tuple[dict[str, SoundScale], dict[str, dict[str, Any]]]:
    """The scale of each class that is told by `letters`, and what is to be said of it: how many `sounds` it was fitted
    on, the `auc` on voices that were left out in turn (None where there are too few), and a `note`.

    A class has no scale where the model does not spell, or too few sounds of clips with a known text were heard.
    """
    if not spec.alphabet:
        return {}, {}
    language = load_language(corpus.clips.language).model_copy(update={"alphabet": spec.alphabet})
    scales, told = {}, {}
    for name, of_class in letters.items():
        if name == REFERENCE_CLASS or not of_class or name not in spec.classes:
            continue
        values, wrong, voices = _sounds(corpus, clips, answers, name, of_class, language)
        counts = [int((wrong == said).sum()) for said in (True, False)]
        heard = [len(set(voices[wrong == said])) for said in (True, False)]
        row: dict[str, Any] = {"sounds": sum(counts), "wrong": counts[0], "auc": None}
        if min(counts) < FEWEST_SOUNDS or min(heard) < FEWEST_VOICES:
            row["note"] = (
                f"not scored: {counts[0]} with the defect (voices: {heard[0]}) and {counts[1]} without it "
                f"(voices: {heard[1]}) were heard in validation clips with a known text; of each {FEWEST_SOUNDS} of "
                f"{FEWEST_VOICES} voices are needed"
            )
        else:
            scales[name] = _fitted(values, wrong)
            row["auc"] = _auc(values, wrong, voices)
            shown = "too few voices to measure it" if row["auc"] is None else f"AUC {row['auc']:.3f} on voices left out"
            row["note"] = f"fitted on {sum(counts)} sounds, {counts[0]} with the defect: {shown}"
        told[name] = row
    return scales, told


def _sounds(
    corpus: Corpus,
    clips: Sequence[LabelledClip],
    answers: Sequence[Diagnosis],
    name: str,
    of_class: Sequence[str],
    language: Language,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Figures (n, 2) of all marker letters of a class, whether their clip has it (n,), and whose voice it is (n,)."""
    values: list[np.ndarray] = []
    wrong: list[bool] = []
    voices: list[str] = []
    for clip, answer in zip(clips, answers, strict=True):
        text = corpus.text(clip.clip)
        if text is None or answer.spelling is None or answer.frame_scores is None:
            continue
        try:
            aligned = align(text, answer.spelling, answer.frame_seconds, language)
        except AlignmentError:
            continue  # another text than is spoken: the clip's length shows it
        scores = answer.frame_scores[:, answer.classes.index(name)]
        for index, letter in enumerate(aligned.letters):
            if letter.marker in of_class:
                span = span_of(aligned.letters, index, len(answer.spelling), answer.frame_seconds)
                values.append(figures(aligned.letters, index, span, answer.spelling, scores))
                wrong.append(name in clip.labels)
                voices.append(unit(clip))
    return np.array(values).reshape(-1, 2), np.array(wrong, dtype=bool), np.array(voices)


def _fitted(values: np.ndarray, wrong: np.ndarray) -> SoundScale:
    """Logistic regression in which both kinds weigh the same, whatever there are more of."""
    from sklearn.linear_model import LogisticRegression

    centre, spread = values.mean(0), values.std(0) + 1e-6
    model = LogisticRegression(class_weight="balanced").fit((values - centre) / spread, wrong)
    weights = model.coef_[0] / spread
    return SoundScale(tuple(weights.tolist()), float(model.intercept_[0] - weights @ centre))


def _auc(values: np.ndarray, wrong: np.ndarray, voices: np.ndarray) -> float | None:
    """How often a sound with the defect is scored worse than one without it, each of a voice that the scale was not
    fitted on; None where there are too few voices."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold

    said = np.full(len(wrong), np.nan)
    folds = GroupKFold(min(_FOLDS, len(set(voices))))
    for learned, left in folds.split(values, wrong, voices):
        if len(set(wrong[learned])) == 2:
            said[left] = _fitted(values[learned], wrong[learned]).apply(values[left])
    known = ~np.isnan(said)
    return float(roc_auc_score(wrong[known], said[known])) if len(set(wrong[known])) == 2 else None
