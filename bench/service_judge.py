"""A bundle that judges recordings as the service's `predict` does: by the worker's own engine, without a server.

The engine decodes in its children, finds the speech, judges, doubts what is unlike training and refuses what the
service refuses. The bundle need not have passed the gate, since it is put into the engine and not published. It
computes in fp32; the service may compute in eight bits where the verdicts agree.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from prometheus_client import CollectorRegistry

from api.intake.problems import Problem
from api.observe.metrics import Metrics
from api.settings import ServiceSettings
from api.worker.engine import Engine
from api.worker.loader import Serving, State
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.defects.calibration import Verdict
from speech.defects.spec import REFERENCE_CLASS
from speech.home import Home

SETTINGS = ServiceSettings(threads=1, decoders=1, precision="fp32", drift_window=100_000)


@dataclass(frozen=True)
class Said:
    """What the service answers on one recording."""

    yes: tuple[str, ...]
    """Defects whose verdict is yes."""
    named: tuple[str, ...]
    """Defects that are most probable; none where the reference class is."""
    unlike_training: bool
    probability: float
    """Of the most probable class, 0 to 1."""
    outright: bool
    """Whether every verdict is one: none is unsure."""


class Judge:
    """One bundle in an engine, until it is closed. `refused` counts the service's refusals by their code."""

    def __init__(self, folder: Path, settings: ServiceSettings = SETTINGS) -> None:
        """Raises `BundleError` for a folder that is no bundle of the first recipe."""
        self.bundle: LoadedBundle = load_bundle(folder)
        self.refused: Counter[str] = Counter()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._engine = Engine(settings, Home(Path(self._folder.name)), Metrics(CollectorRegistry()))
        self._engine.loader.state = State(Serving(self.bundle, "", None))

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the engine's threads and children."""
        self._engine.close()
        self._runner.close()
        self._folder.cleanup()

    def judge(self, recording: bytes) -> Said | None:
        """What is said of a sound file; None where the service refuses it, which is counted."""
        try:
            judgement = self._runner.run(self._engine.diagnose(io.BytesIO(recording)))
        except Problem as problem:
            self.refused[problem.code] += 1
            return None
        diagnosis, far = judgement.diagnosis, judgement.description.far
        return Said(
            yes=tuple(name for name, verdict in diagnosis.verdicts.items() if verdict == Verdict.yes),
            named=tuple(name for name in diagnosis.named if name != REFERENCE_CLASS),
            unlike_training=far is not None and far.unlike,
            probability=diagnosis.probabilities[diagnosis.classes.index(diagnosis.most_probable)],
            outright=Verdict.unsure not in diagnosis.verdicts.values(),
        )

    def judge_samples(self, samples: np.ndarray) -> Said | None:
        """As `judge`, of mono samples (n,) at 16 kHz, sent as wav."""
        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        return self.judge(buffer.getvalue())
