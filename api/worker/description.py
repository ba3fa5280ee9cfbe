"""What an answer says of the recording itself. It is measured from the samples alone, without the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from api.schemas.predict import Caution, Quality, Tempo, UnlikeTraining
from speech.audio import tempo
from speech.audio.decode import Sound, measure
from speech.audio.quality import UNLIKE_TRAINING, cautions, examine, loss_cautions
from speech.audio.waveform import peaks
from speech.defects.training_distance import TrainingDistance, figures_of

_LEVEL_DIGITS, _SHARE_DIGITS = 1, 5


@dataclass(frozen=True)
class Description:
    """The fields of `Prediction` of the same names."""

    quality: Quality
    warnings: list[Caution]
    tempo: Tempo
    peaks: list[list[float]]
    unlike_training: UnlikeTraining | None


def describe(sound: Sound, training_distance: TrainingDistance | None, peak_count: int) -> Description:
    """Describe a recording; `training_distance` is the bundle's.

    Takes 3 ms a second of sound, so never on the event loop.
    """
    speech = sound.speech
    signal, pace = examine(speech), tempo.measure(speech)
    quality, unlike = sound.quality, None
    if training_distance is not None:
        far = training_distance.of(figures_of(speech, measure(speech) if sound.spans else quality, signal))
        unlike = UnlikeTraining(score=far.score, threshold=far.threshold, unlike=far.unlike, why=list(far.why))
    return Description(
        quality=Quality(
            level_dbfs=round(quality.level_dbfs, _LEVEL_DIGITS),
            peak_dbfs=round(quality.peak_dbfs, _LEVEL_DIGITS),
            clipped_share=round(quality.clipped_share, _SHARE_DIGITS),
            silent_share=round(quality.silent_share, _SHARE_DIGITS),
            snr_db=signal.snr_db,
        ),
        warnings=[
            Caution(**vars(one))
            for one in (
                *loss_cautions(sound.cut_short, sound.damaged),
                *cautions(quality, signal, pace, sound.source_rate),
                *([UNLIKE_TRAINING] if unlike is not None and unlike.unlike else []),
            )
        ],
        tempo=Tempo(**asdict(pace)),
        peaks=peaks(sound.samples, peak_count),
        unlike_training=unlike,
    )
