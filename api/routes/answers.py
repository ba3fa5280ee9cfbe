"""What a worker found, as the service says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.schemas.predict import Place, Prediction, SpokenSound, SpokenWord, TimedWord, Transcript
from speech.text.alignment import words_under

if TYPE_CHECKING:
    from api.worker.engine import Judgement
    from api.worker.recognition import RecognitionResult


def prediction(judgement: Judgement) -> Prediction:
    """The answer of /api/predict."""
    diagnosis, spoken = judgement.diagnosis, judgement.words
    return Prediction(
        predict_proba=list(diagnosis.probabilities),
        classes=list(diagnosis.classes),
        exclusive=diagnosis.exclusive,
        class_=diagnosis.most_probable,
        verdicts=diagnosis.verdicts,
        places=[
            Place(
                class_=place.defect,
                start=place.start,
                end=place.end,
                score=place.score,
                words=None if spoken is None else words_under(spoken, place.start, place.end),
            )
            for place in diagnosis.places
        ],
        words=None if spoken is None else [TimedWord(**vars(word)) for word in spoken],
        words_from=judgement.words_from,
        sounds=None if judgement.sounds is None else [SpokenSound(**vars(sound)) for sound in judgement.sounds],
        logits=list(diagnosis.logits),
        bundle=judgement.serving.bundle.id,
        duration=diagnosis.seconds,
        markers=diagnosis.markers,
        **judgement.description.fields(),
    )


def transcript(transcription: RecognitionResult, words: bool) -> Transcript:
    """The answer of /api/transcribe."""
    found = transcription.transcript
    return Transcript(
        text=found.text,
        words=[
            SpokenWord(
                word=word.text,
                start=round(word.start, 3),
                end=round(word.end, 3),
                confidence=round(word.confidence, 4),
            )
            for word in found.words
        ]
        if words
        else None,
        confidence=round(found.confidence, 4),
        duration=round(found.seconds, 3),
        language=transcription.bundle.config.language,
        bundle=transcription.bundle.id,
        warnings=list(transcription.warnings),
    )
