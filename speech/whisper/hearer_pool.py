"""Children that hear words, each on one core.

While Whisper computes it looks at nothing for seconds, so whoever must give way lets a child hear: a process can be
held up as a whole at any moment.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

import numpy as np

from speech.process.child import ChildBroke
from speech.process.worker import Held, Worker
from speech.text.alignment import TimedWord
from speech.text.language import LanguageError, load_language
from speech.whisper.backend import TranscriberError
from speech.whisper.hearer import require_whisper

_TRIES = 2  # at one stretch, where children break off

Submit = Callable[[Callable[[], list[TimedWord]]], "Future[list[TimedWord]]"]


class HearingBroke(RuntimeError):
    """Children broke off on a stretch of sound, time and again."""


def transcribed_at_once(cores: int) -> int:
    """Stretches of which words are heard at once: that takes about as long as to judge them, on as many cores."""
    return max(1, cores // 2)


class HearerPool:
    """Children that hear words, each on one core: as many as are asked at once. Each takes 0.3 GB. Thread-safe."""

    def __init__(self, model: str, submit: Submit, look: Callable[[Held], None] | None = None) -> None:
        """`submit` has a call computed on a thread; `look` is called there every few milliseconds with what holds the
        child up while the block runs."""
        self._model, self._submit, self._look = model, submit, look
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._closed = False

    def require(self, language: str | None = None) -> None:
        """Raises `TranscriberError` where words, those of `language` above all, cannot be heard on this machine."""
        require_whisper(self._model)
        try:
            if language is not None:
                load_language(language)
        except LanguageError as error:
            raise TranscriberError(str(error)) from error

    def submit(self, samples: np.ndarray, language: str) -> Future[list[TimedWord]]:
        """As `Hearer.words`; besides `HearingBroke`, OSError where there can be no child, and
        `concurrent.futures.CancelledError` once closed."""
        return self._submit(partial(self._words, samples, language))

    def rest(self) -> None:
        """End the children that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    def close(self) -> None:
        """End all children, those too that hear somebody."""
        with self._lock:
            self._closed = True
            busy = list(self._busy)
        for worker in busy:
            worker.kill()
        self.rest()

    def _words(self, samples: np.ndarray, language: str) -> list[TimedWord]:
        require_whisper(self._model)  # the library would look for it elsewhere
        worker = self._borrow()
        try:
            raw = samples.astype(np.float32).tobytes()
            for _ in range(_TRIES):
                try:
                    return _words_in(worker.ask({"language": language}, raw, look=self._look)[0])
                except ChildBroke:
                    if self._closed:
                        raise CancelledError from None
        finally:
            self._give_back(worker)
        raise HearingBroke("the process that hears words broke off on this recording")

    def _borrow(self) -> Worker:
        with self._lock:
            if self._closed:
                raise CancelledError
            worker = self._idle.pop() if self._idle else Worker(_command(self._model))
            self._busy.add(worker)
        return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            self._busy.remove(worker)
            if not self._closed:
                self._idle.append(worker)
                return
        worker.close()


def _command(model: str) -> list[str]:
    return [sys.executable, "-m", "speech.whisper.child", model]


def _words_in(answer: dict[str, Any]) -> list[TimedWord]:
    """Raises the error that the answer tells of."""
    if "language" in answer:
        raise LanguageError(answer["language"])
    if "transcriber" in answer:
        raise TranscriberError(answer["transcriber"])
    return [TimedWord(**word) for word in answer["words"]]
