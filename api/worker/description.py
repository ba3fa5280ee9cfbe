"""What an answer says of the recording itself: what its samples tell, and how far it is from the training clips."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from api.schemas.predict import Caution, Quality, Tempo, UnlikeTraining
from speech.audio import tempo
from speech.audio.decode import Sound, measure
from speech.audio.quality import UNLIKE_TRAINING, cautions, examine, loss_cautions
from speech.audio.waveform import peaks
from speech.defects.training_distance import Distance, TrainingDistance, farther, figures_of

_LEVEL_DIGITS, _SHARE_DIGITS = 1, 5


@dataclass(frozen=True)
class Description:
    """What the fields of `Prediction` of the same names hold, and how far the recording is from the training clips."""

    quality: Quality
    warnings: list[Caution]
    tempo: Tempo
    peaks: list[list[float]]
    far: Distance | None
    """From the training clips; None where the bundle knows nothing of them."""

    def fields(self) -> dict[str, Any]:
        """Fields of `Prediction`; that the recording is unlike the training clips is one of the warnings."""
        told = None if self.far is None else UnlikeTraining(**self.far.as_dict())
        unlike = [Caution(**vars(UNLIKE_TRAINING))] if told is not None and told.unlike else []
        same = {name: value for name, value in vars(self).items() if name != "far"}
        return same | {"warnings": [*self.warnings, *unlike], "unlike_training": told}

    def with_features(self, far: Distance | None) -> Description:
        """With how far the recording is in its features, which counts where that is farther than its sound is."""
        return replace(self, far=farther(self.far, far))


def describe(sound: Sound, training_distance: TrainingDistance | None, peak_count: int) -> Description:
    """Describe a recording; `training_distance` is the bundle's.

    Takes 3 ms a second of sound, so never on the event loop.
    """
    speech = sound.speech
    signal, pace = examine(speech), tempo.measure(speech)
    quality, far = sound.quality, None
    if training_distance is not None:
        far = training_distance.of(figures_of(speech, measure(speech) if sound.spans else quality, signal))
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
            )
        ],
        tempo=Tempo(**asdict(pace)),
        peaks=peaks(sound.samples, peak_count),
        far=far,
    )
