"""What one worker does with a recording: decode, take the bundle in service, wait for the model, diagnose.

Imports torch: a worker imports this module when it starts, the process that supervises the workers never does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Literal

import numpy as np
import torch

from api import schemas
from api.batch_desk import Desk
from api.batching import Batcher, QueueFull
from api.decoders import DecoderPool
from api.description import Description, describe
from api.loader import Loader, Serving
from api.metrics import Metrics
from api.problems import AUDIO_STATUS, Problem
from api.settings import ServiceSettings
from api.threads import Threads
from api.watch import Watch
from api.windows import Windows
from api.words import Whisper
from speech.alignment import AlignmentError, TimedWord, align
from speech.audio import AudioError, AudioLimits
from speech.bundle import LoadedBundle, read_gate
from speech.diagnose import Diagnosis, diagnose
from speech.gate import check
from speech.home import Home
from speech.language import LanguageError, load_language
from speech.precisions import Precisions

log = logging.getLogger("vnyatno.service")

NO_MODEL = (
    "no model is in service yet; train one: `make demo`, or launch the job `train` in Dagster "
    "(http://127.0.0.1:3000 unless set otherwise), and it is taken up by itself"
)


@dataclass(frozen=True)
class Judgement:
    """A diagnosis, the bundle that gave it, what the recording is like, and the words spoken, where they were sent or
    asked for."""

    serving: Serving
    diagnosis: Diagnosis
    description: Description
    words: list[TimedWord] | None = None
    words_from: Literal["text", "whisper"] | None = None


class Engine:
    """The parts of a worker, from the bundle in service to the decoders."""

    def __init__(self, settings: ServiceSettings, home: Home, metrics: Metrics, worker: int | None = None) -> None:
        """`worker`: this worker's number in the service."""
        torch.set_num_threads(settings.model_threads)
        self.metrics = metrics
        self.home = home
        self._settings = settings
        prepare = Precisions(home, settings.model_threads).apply if settings.precision == "auto" else None
        device = _device(settings.device)
        self.loader = Loader(home, metrics, device, settings.poll_seconds, prepare=prepare)
        self._decoders = DecoderPool(settings.decoders, settings.decode_seconds)
        self._describers = Threads(settings.decoders, "describer")
        self._whisper = Whisper(settings)
        cores = settings.model_threads if device == "cpu" else 1
        use_cores = torch.set_num_threads if device == "cpu" else None
        windows = Windows(cores, use_cores)
        self._batcher: Batcher[LoadedBundle, Diagnosis] = Batcher(
            _judge,
            settings.batch_size,
            settings.queue_size,
            metrics,
            cores=cores,
            use_cores=use_cores,
            occupied=windows.leave,
        )
        self.desk = _desk(settings, home, windows, self._bundle)
        self.watch = Watch(settings, home, metrics, worker)

    def start(self) -> None:
        """Start the decoders and load the bundle in service, before the first request comes."""
        with ThreadPoolExecutor(1) as beside:
            decoders = beside.submit(self._decoders.start)
            self.loader.start()
            decoders.result()
        self.watch.start()
        if self.desk is not None:
            self.desk.start()

    def close(self) -> None:
        """Stop following the pointer and end the decoders."""
        self.loader.stop()
        if self.desk is not None:
            self.desk.close()
        self._decoders.close()
        self.watch.close()

    def serving(self) -> Serving:
        """The bundle in service. Raises `Problem` 503 where there is none."""
        state = self.loader.state
        if state.serving is not None:
            return state.serving
        detail = NO_MODEL
        if state.refused:
            detail += f"; {state.refused.bundle or 'the pointer'} was refused: {state.refused.reason}"
        raise Problem(503, "no_model", detail, {"Retry-After": "10"})

    def _bundle(self) -> LoadedBundle | None:
        serving = self.loader.state.serving
        return serving.bundle if serving else None

    def card(self) -> schemas.ModelCard:
        """The bundle in service, for people. Raises `Problem` 503 where there is none."""
        serving = self.serving()
        bundle, limits = serving.bundle, self._limits(serving)
        config = bundle.config
        gate = read_gate(config)
        return schemas.ModelCard(
            bundle=bundle.id,
            recipe=config.recipe,
            language=config.language,
            created=config.created,
            published=serving.published,
            previous=serving.previous,
            classes=[
                schemas.DefectClass(name=name, names=config.class_names.get(name, {})) for name in config.model.classes
            ],
            exclusive=config.model.exclusive,
            letters=config.model.letters,
            limits=schemas.Limits(
                min_seconds=limits.min_seconds,
                max_seconds=limits.max_seconds,
                max_upload_bytes=limits.max_bytes,
                sample_rate=config.audio.sample_rate,
            ),
            precision=schemas.PrecisionChoice(
                name=bundle.precision,
                seconds={name.value: seconds for name, seconds in bundle.measured.items()},
                agreement={name.value: section.model_dump() for name, section in config.precisions.items()},
            ),
            gate=[schemas.GateCondition(**vars(condition)) for condition in check(gate, bundle.metrics)],
            gate_override=gate.override,
            metrics=_finite(bundle.metrics),
            lineage=_finite(config.lineage),
            refused=self._refused(),
        )

    def health(self) -> schemas.Health:
        """How this worker is."""
        state = self.loader.state
        status: Literal["ok", "degraded", "no_model"] = "ok"
        if state.serving is None:
            status = "no_model"
        elif state.refused is not None:
            status = "degraded"
        return schemas.Health(
            status=status, bundle=state.serving.bundle.id if state.serving else None, refused=self._refused()
        )

    def _refused(self) -> schemas.RefusedBundle | None:
        refused = self.loader.state.refused
        return schemas.RefusedBundle(**vars(refused)) if refused else None

    def _limits(self, serving: Serving) -> AudioLimits:
        audio = serving.bundle.config.audio
        return AudioLimits(
            max_bytes=self._settings.max_upload_bytes,
            min_seconds=audio.min_seconds,
            max_seconds=min(audio.max_seconds, self._settings.max_seconds),
            min_rate=self._settings.min_sample_rate,
            max_rate=self._settings.max_sample_rate,
            max_channels=self._settings.max_channels,
            max_decoded_bytes=self._settings.max_decoded_bytes,
        )

    async def diagnose(
        self, file: IO[bytes], text: str | None = None, hear_words: bool = False, peaks: int = 0
    ) -> Judgement:
        """Diagnose an uploaded recording, and lay `text` over it; without one, `hear_words` has Whisper hear the words.
        `peaks`: into how many stretches its waveform is drawn.

        Raises `Problem` for whatever stands in the way.
        """
        serving = self.serving()
        words: list[TimedWord] | None = None
        if text:
            hear_words = False
            _require_spelling(serving.bundle)
        if hear_words:
            self._whisper.require()  # before anything is computed
        try:
            with self.metrics.in_progress():
                async with asyncio.timeout(self._settings.request_seconds):
                    sound = await self._decoders.decode(file, self._limits(serving))
                    diagnosis, description = await asyncio.gather(
                        self._batcher.submit(serving.bundle, sound.samples),
                        self._describers.run(partial(describe, sound, serving.bundle.likeness, peaks)),
                    )
                    if hear_words:
                        words = await self._whisper.words(sound.samples, serving.bundle.config.language)
        except AudioError as error:
            raise Problem(AUDIO_STATUS.get(error.code, 422), error.code, str(error)) from error
        except QueueFull as error:
            headers = {"Retry-After": str(error.retry_after)}
            raise Problem(503, "busy", "too many recordings wait already; try again soon", headers) from error
        except FloatingPointError as error:
            log.error("%s gave no finite figures for a recording", serving.bundle.id)
            raise Problem(422, "not_assessable", "the model finds no finite answer for this recording") from error
        except TimeoutError as error:
            detail = "the service is too busy to answer in time; try again soon"
            raise Problem(503, "timeout", detail, {"Retry-After": "5"}) from error
        self.watch.diagnosed(serving.bundle, sound, diagnosis)
        if text:
            return Judgement(serving, diagnosis, description, await self._aligned(text, serving, diagnosis), "text")
        return Judgement(serving, diagnosis, description, words, None if words is None else "whisper")

    async def _aligned(self, text: str, serving: Serving, diagnosis: Diagnosis) -> list[TimedWord]:
        assert diagnosis.spelling is not None
        try:
            known = load_language(serving.bundle.config.language)
            language = known.model_copy(update={"alphabet": serving.bundle.config.model.alphabet})
            return await asyncio.to_thread(align, text, diagnosis.spelling, diagnosis.frame_seconds, language)
        except (AlignmentError, LanguageError) as error:
            raise Problem(422, "text_does_not_fit", f"text: {error}") from error


def _require_spelling(bundle: LoadedBundle) -> None:
    if not bundle.config.model.alphabet:
        detail = (
            f"{bundle.id} counts letters but does not spell, so no text can be laid over a recording; send none, or "
            "train with ops.encoder.config.pretext: letters or both"
        )
        raise Problem(422, "no_alignment", detail)


def _desk(
    settings: ServiceSettings, home: Home, windows: Windows, current: Callable[[], LoadedBundle | None]
) -> Desk | None:
    """None where batches cannot be kept: recordings are diagnosed all the same."""
    try:
        return Desk(settings, home, windows, current)
    except (OSError, sqlite3.Error) as error:
        log.error("batches cannot be kept in %s: %s", home.batches, error)
        return None


def _judge(bundle: LoadedBundle, clips: Sequence[np.ndarray]) -> list[Diagnosis]:
    return diagnose(bundle.model, clips, bundle.calibration)


def _finite(value: Any) -> Any:
    """Figures as JSON can hold them: what is no finite number becomes null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _device(setting: str) -> str:
    if setting == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return setting
