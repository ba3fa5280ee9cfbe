"""What one worker does with a recording: decode, take the bundle in service, wait for the model, diagnose.

Imports torch: a worker imports this module when it starts, the process that supervises the workers never does.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import IO, Any, Literal, TypeVar

import numpy as np
import torch

from api.intake.problems import Problem
from api.observe.metrics import Metrics
from api.observe.telemetry import Telemetry
from api.schemas.predict import Health, ModelCard
from api.settings import ServiceSettings
from api.threads import Threads
from api.worker import cards
from api.worker.batch_desk import Desk
from api.worker.decoders import DecoderPool
from api.worker.description import Description, describe
from api.worker.loader import Loader, Serving
from api.worker.memory import freeze_libraries, unfreeze_libraries
from api.worker.model_queue import ModelQueue
from api.worker.recipes import DEFECTS, in_service
from api.worker.recognition import Recognition
from api.worker.refusals import as_problems
from api.worker.windows import Windows
from api.worker.words import Whisper
from speech.audio.decode import AudioLimits, Sound
from speech.bundles.defects import LoadedBundle
from speech.bundles.precision import Precisions
from speech.bundles.recogniser import LoadedRecogniser
from speech.defects.calibration import doubted
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.localisation import Place
from speech.defects.multilabel import AnyCalibration
from speech.defects.sounds import SpokenSound, score_sounds
from speech.hardware.devices import Device, DeviceError, choose_device
from speech.home import Home
from speech.process.background import NAME
from speech.text.alignment import Alignment, AlignmentError, TimedWord, align
from speech.text.language import Language, LanguageError, load_language

Part = TypeVar("Part", Place, SpokenSound, TimedWord)
log = logging.getLogger("vnyatno.service")


@dataclass(frozen=True)
class Judgement:
    """A diagnosis with what the answer says besides.

    `serving` is the bundle that gave it. `description` says what the recording itself is like. `words` are the words
    spoken, None where no text was sent and Whisper was not asked; `words_from` says where they come from. `sounds` are
    the marker letters of a text that was sent, None where none was, or the bundle cannot score them.
    """

    serving: Serving[LoadedBundle]
    diagnosis: Diagnosis
    description: Description
    words: list[TimedWord] | None = None
    words_from: Literal["text", "whisper"] | None = None
    sounds: list[SpokenSound] | None = None


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
        self.loader: Loader[LoadedBundle] = Loader(
            DEFECTS, home, metrics, device, settings.poll_seconds, prepare=prepare
        )
        self._decoders = DecoderPool(settings.decoders, settings.decode_seconds)
        self._describers = Threads(settings.decoders, "describer")
        self._whisper = Whisper(settings)
        cores = settings.model_threads if device == "cpu" else 1
        use_cores = torch.set_num_threads if device == "cpu" else None
        self._windows = Windows(cores, use_cores)
        self._model_queue: ModelQueue[LoadedBundle | LoadedRecogniser, Any] = ModelQueue(
            _compute,
            settings.batch_size,
            settings.queue_size,
            metrics,
            cores=cores,
            use_cores=use_cores,
            occupied=self._windows.recordings_use,
        )
        self.desk = _desk(settings, home, self._windows, self._bundle)
        self.telemetry = Telemetry(settings, home, metrics, worker)
        self.recognition = Recognition(settings, home, metrics, self.telemetry, device, self._model_queue.submit)

    @property
    def loaders(self) -> dict[str, Loader[Any]]:
        """What follows each recipe's pointer."""
        return {loader.recipe.name: loader for loader in (self.loader, self.recognition.loader)}

    def start(self) -> None:
        """Start the decoders and load the bundles in service, before the first request comes."""
        with ThreadPoolExecutor(1, f"{NAME}-start") as beside:
            decoders = beside.submit(self._decoders.start)
            freeze_libraries()
            for loader in self.loaders.values():
                loader.start()
            decoders.result()
        self.telemetry.start()
        if self.desk is not None:
            self.desk.start()

    def close(self) -> None:
        """Stop following the pointers, give calls in work back, and end all threads and children.

        Recordings that are being answered are answered first, if that takes no longer than
        `speech.process.background.END_SECONDS`.
        """
        with ExitStack() as parts:  # each is closed, whatever another raises; the last one named first
            for part in (self.telemetry, self._whisper, self._describers, self._model_queue, self._decoders):
                parts.callback(part.close)
            parts.callback(self._windows.close)  # after those who wait for windows have left
            parts.callback(unfreeze_libraries)
            if self.desk is not None:
                parts.callback(self.desk.close)
            parts.callback(self.recognition.close)
            parts.callback(self.loader.close)

    def serving(self) -> Serving[LoadedBundle]:
        """The bundle in service that hears defects. Raises `Problem` 503 where there is none."""
        return in_service(self.loader)

    def require_any(self) -> None:
        """Raises `Problem` 503 where no recipe has a bundle in service."""
        if self.recognition.loader.state.serving is None:
            self.serving()

    def _bundle(self) -> LoadedBundle | None:
        serving = self.loader.state.serving
        return serving.bundle if serving else None

    def card(self) -> ModelCard:
        """The bundle in service that hears defects, for people. Raises `Problem` 503 where there is none."""
        serving = self.serving()
        return cards.defect_card(self.loader, serving, self._limits(serving))

    def health(self) -> Health:
        """How this worker is."""
        return cards.health(self.loader, self.recognition.loader)

    def _limits(self, serving: Serving[LoadedBundle]) -> AudioLimits:
        audio = serving.bundle.config.audio
        return AudioLimits(
            max_bytes=self._settings.max_upload_bytes,
            min_seconds=audio.min_seconds,
            max_seconds=min(audio.max_seconds, self._settings.max_seconds),
            min_rate=self._settings.min_sample_rate,
            max_rate=self._settings.max_sample_rate,
            max_channels=self._settings.max_channels,
            max_decoded_bytes=self._settings.max_decoded_bytes,
            min_speech_seconds=self._settings.min_speech_seconds,
        )

    async def diagnose(
        self, file: IO[bytes], text: str | None = None, hear_words: bool = False, peaks: int = 0
    ) -> Judgement:
        """Diagnose an uploaded recording.

        `text` is laid over the recording. Without one, `hear_words` has Whisper hear the words. `peaks`: into how many
        stretches the waveform is drawn. Raises `Problem` for whatever stands in the way.
        """
        serving = self.serving()
        words: list[TimedWord] | None = None
        if text:
            hear_words = False
            _require_spelling(serving.bundle)
        if hear_words:
            self._whisper.require()  # before anything is computed
        with as_problems(serving.bundle.id), self.metrics.in_progress():
            async with asyncio.timeout(self._settings.request_seconds):
                with self._windows.recording_arrives():
                    sound = await self._decoders.decode(file, self._limits(serving))
                diagnosis, description = await asyncio.gather(
                    self._model_queue.submit(serving.bundle, sound.speech),
                    self._describers.run(partial(describe, sound, serving.bundle.training_distance, peaks)),
                )
                description = description.with_features(serving.bundle.distance_of(diagnosis))
                if hear_words:
                    words = await self._whisper.words(sound.speech, serving.bundle.config.language)
        sounds: list[SpokenSound] | None = None
        if text:
            words, sounds = await self._aligned(text, serving, diagnosis)
        if sounds is not None:
            sounds = [_in_recording(sound_, sound) for sound_ in sounds]
        if words is not None:
            words = [_in_recording(word, sound) for word in words]
        if description.far is not None and description.far.unlike:
            diagnosis = replace(diagnosis, verdicts=doubted(diagnosis.verdicts))
        places = tuple(_in_recording(place, sound) for place in diagnosis.places)
        diagnosis = replace(diagnosis, places=places, seconds=sound.seconds)
        self.telemetry.diagnosed(serving.bundle, sound, diagnosis)
        words_from: Literal["text", "whisper"] = "text" if text else "whisper"
        return Judgement(serving, diagnosis, description, words, None if words is None else words_from, sounds)

    async def _aligned(
        self, text: str, serving: Serving[LoadedBundle], diagnosis: Diagnosis
    ) -> tuple[list[TimedWord], list[SpokenSound] | None]:
        try:
            return await asyncio.to_thread(_align, text, diagnosis, serving.bundle)
        except (AlignmentError, LanguageError) as error:
            raise Problem(422, "text_does_not_fit", f"text: {error}") from error


def _align(text: str, diagnosis: Diagnosis, bundle: LoadedBundle) -> tuple[list[TimedWord], list[SpokenSound] | None]:
    """The words of a text, and its marker letters where the bundle can score them. Raises `AlignmentError`,
    `LanguageError`."""
    assert diagnosis.spelling is not None
    language = _language(bundle.config.language, bundle.config.model.alphabet)
    aligned = align(text, diagnosis.spelling, diagnosis.frame_seconds, language)
    return aligned.words, _scored(aligned, diagnosis, bundle.calibration)


def _scored(aligned: Alignment, diagnosis: Diagnosis, calibration: AnyCalibration) -> list[SpokenSound] | None:
    if not calibration.sounds or diagnosis.spelling is None or diagnosis.frame_scores is None:
        return None
    return score_sounds(
        aligned,
        diagnosis.spelling,
        diagnosis.frame_scores,
        diagnosis.frame_seconds,
        diagnosis.classes,
        calibration.letters,
        calibration.sounds,
    )


@cache
def _language(code: str, alphabet: str) -> Language:
    """A language with the letters that a model spells with; its file takes 20 ms to read. Raises `LanguageError`."""
    return load_language(code).model_copy(update={"alphabet": alphabet})


def _in_recording(part: Part, sound: Sound) -> Part:
    """A part of what was judged, by the recording's time."""
    return replace(part, start=sound.moment(part.start), end=sound.moment(part.end)) if sound.spans else part


def _require_spelling(bundle: LoadedBundle) -> None:
    """Raise `Problem` 422 for a bundle that counts letters and does not spell."""
    if not bundle.config.model.alphabet:
        detail = (
            f"{bundle.id} counts letters but does not spell, so no text can be laid over a recording; send none, or "
            "train with ops.encoder.config.pretext: letters or both"
        )
        raise Problem(422, "no_alignment", detail)


def _desk(
    settings: ServiceSettings, home: Home, windows: Windows, current: Callable[[], LoadedBundle | None]
) -> Desk | None:
    """The desk of batches. None where batches cannot be kept: recordings are diagnosed all the same."""
    try:
        return Desk(settings, home, windows, current)
    except (OSError, sqlite3.Error) as error:
        log.error("batches cannot be kept in %s: %s", home.batches, error)
        return None


def _compute(bundle: LoadedBundle | LoadedRecogniser, clips: Sequence[np.ndarray]) -> Sequence[Any]:
    """Diagnoses of clips (n,) at 16 kHz, or log probabilities (frames, vocabulary): what the bundle gives."""
    if isinstance(bundle, LoadedRecogniser):
        return bundle.recogniser.emissions(clips)
    return diagnose(bundle.model, clips, bundle.calibration)


def _device(setting: str) -> Device:
    """The device to compute on.

    Where `cuda` was asked for and does not compute it is `cuda` all the same: each loader then refuses its bundle and
    says why.
    """
    try:
        return choose_device(setting)
    except DeviceError as error:
        log.error("%s; no bundle can be loaded", error)
        return "cuda"
