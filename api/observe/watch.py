"""What one worker shows of itself: figures, drift and traces, fed from the one place where diagnoses are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.observe.drift import DriftWatch, worker_name
from api.observe.metrics import Metrics
from api.observe.requests import current
from api.observe.tracing import Tracing, wanted
from api.settings import ServiceSettings
from speech.audio.decode import SAMPLE_RATE, Sound
from speech.home import Home

if TYPE_CHECKING:  # they bring torch, which the process that supervises the workers must not hold
    from speech.bundles.defects import LoadedBundle
    from speech.bundles.recogniser import LoadedRecogniser
    from speech.ctc.decoding import Transcript
    from speech.defects.diagnose import Diagnosis


class Watch:
    """Told of each diagnosis; `tracing` is None where no traces are sent."""

    def __init__(self, settings: ServiceSettings, home: Home, metrics: Metrics, worker: int | None = None) -> None:
        """`worker`: this worker's number in the service."""
        self.tracing = Tracing() if wanted(settings) else None
        self.drift = DriftWatch(home, metrics, settings.drift_window, worker_name(worker))
        self._metrics = metrics

    def start(self) -> None:
        """Begin to count drift."""
        self.drift.start()

    def close(self) -> None:
        """Count drift a last time, and send the last traces."""
        self.drift.close()
        if self.tracing is not None:
            self.tracing.close()

    def diagnosed(self, bundle: LoadedBundle, sound: Sound, diagnosis: Diagnosis) -> None:
        """Count a diagnosis, and say in the request's record what it was about."""
        self._metrics.diagnosed(bundle.id, diagnosis.seconds, diagnosis.named, diagnosis.verdicts)
        self.drift.add(bundle, figures_of(sound), diagnosis.named)
        _note(bundle.id, diagnosis.seconds)

    def transcribed(self, bundle: LoadedRecogniser, transcript: Transcript) -> None:
        """Count a transcript; what it says is noted nowhere."""
        self._metrics.transcribed(bundle.id, transcript.seconds, len(transcript.words))
        _note(bundle.id, transcript.seconds)


def _note(bundle: str, seconds: float) -> None:
    """Say in the request's record which bundle heard how much."""
    record = current()
    if record is not None:
        record.bundle, record.sound_seconds = bundle, round(seconds, 3)


def figures_of(sound: Sound) -> dict[str, float]:
    """The figures of a recording, under the names that statistics.json has for those of the training clips."""
    return {"seconds": len(sound.samples) / SAMPLE_RATE, **sound.quality.as_dict()}
