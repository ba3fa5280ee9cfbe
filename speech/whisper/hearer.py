"""The words of a stretch of speech, as far as Whisper is to be believed; and children that hear them.

While Whisper computes it looks at nothing for seconds, so whoever must give way lets a child hear: a process can be
held up as a whole at any moment. A child says `ready`, then reads requests from its standard input, a line of JSON
(`language`, `bytes`) and as many bytes of float32 samples, and answers each with a line of JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from speech.audio.decode import SAMPLE_RATE
from speech.audio.isolated import exactly
from speech.text.alignment import TimedWord
from speech.text.language import Language, LanguageError, load_language
from speech.whisper.backend import Transcriber, TranscriberError, WhisperOptions
from speech.whisper.markers import ConfidenceGate, count_markers
from speech.whisper.transcribe import load_transcriber
from speech.whisper.weights import FASTER_WHISPER, resolve

PACKAGE = "faster_whisper"
_FILES = ("model.bin", "tokenizer.json")  # without a tokenizer beside it, the library would fetch one
_LOOK_SECONDS = 0.005  # between two looks whether the child is to be held up
_TRIES = 2  # at one stretch, where children break off
_READY = b"ready\n"
# It may be held up from the first line on, and must not stay so when its parent is gone.
_CHILD = """
import sys
from speech.process.lifetime import end_with
end_with(int(sys.argv[1]))
print("ready", flush=True)
from speech.whisper.hearer import main
main(sys.argv[2])
"""

Held = Callable[[], AbstractContextManager[None]]
Submit = Callable[[Callable[[], list[TimedWord]]], "Future[list[TimedWord]]"]


class HearingBroke(RuntimeError):
    """Children broke off on a stretch of sound, time and again."""


def require_whisper(model: str) -> None:
    """Raises `TranscriberError` where Whisper or the weights of `model`, a name or a folder, are not on this machine.
    Nothing is fetched."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise TranscriberError("Whisper is not installed; run `make setup` on the machine that is to hear words")
    folder = Path(resolve(model, FASTER_WHISPER))
    if not all((folder / name).is_file() for name in _FILES):
        raise TranscriberError(
            f"the weights of Whisper {model!r} are not on this machine, and nothing is downloaded for this; run "
            "`make setup`, which fetches 'base', or set words_model (configs/service.yaml; --words-model of the "
            "command) to the folder of a model in CTranslate2's form"
        )


def transcribed_at_once(cores: int) -> int:
    """Stretches of which words are heard at once: that takes about as long as to judge them, on as many cores."""
    return max(1, cores // 2)


class Hearer:
    """A Whisper model, loaded when it is first asked. Not thread-safe."""

    def __init__(
        self, model: str, device: str, threads: int, load: Callable[[WhisperOptions], Transcriber] = load_transcriber
    ) -> None:
        self._model, self._device, self._threads = model, device, threads
        self._load = load
        self._language: tuple[str, Language] | None = None  # as it was last asked for
        self._loaded: tuple[str, Transcriber] | None = None  # and the language that it hears

    def words(self, samples: np.ndarray, language: str) -> list[TimedWord]:
        """The words of mono float32 `samples` (n,) at 16 kHz, with their times in seconds; none where Whisper's own
        measures say that it heard no speech or goes round in circles. `language` is a bundle's.

        Raises `TranscriberError`, `LanguageError`, or ImportError where a library is missing.
        """
        if self._language is None or self._language[0] != language:
            self._language = language, load_language(language)
        known = self._language[1]
        transcript = self._transcriber(known).transcribe(samples)
        # Silence and noise make Whisper invent phrases: what training would not count is not said here either.
        if count_markers(transcript, len(samples) / SAMPLE_RATE, known, ConfidenceGate()).doubt is not None:
            return []
        return [TimedWord(word.text, word.start, word.end) for word in transcript.words]

    def _transcriber(self, language: Language) -> Transcriber:
        """The loaded model; loaded anew where another language is spoken now."""
        if self._loaded is None or self._loaded[0] != language.code:
            self._loaded = None
            options = WhisperOptions(
                model=self._model, language=language.code, device=self._device, threads=self._threads
            )
            self._loaded = language.code, self._load(options)
        return self._loaded[1]


class Transcribers:
    """Children that hear words, each on one core: as many as are asked at once. Each takes 0.3 GB. Thread-safe."""

    def __init__(self, model: str, submit: Submit, look: Callable[[Held], None] | None = None) -> None:
        """`submit` has a call computed on a thread, which must live as long as this; `look` is called there every few
        milliseconds with what holds the child up while the block runs."""
        self._model, self._submit, self._look = model, submit, look
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
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
        for child in idle:
            child.close()

    def close(self) -> None:
        """End all children, those too that hear somebody."""
        with self._lock:
            self._closed = True
            busy = list(self._busy)
        for child in busy:
            child.kill()
        self.rest()

    def _words(self, samples: np.ndarray, language: str) -> list[TimedWord]:
        require_whisper(self._model)  # the library would look for it elsewhere
        for _ in range(_TRIES):
            child = self._child()
            sound = False
            try:
                words = child.words(samples, language, self._look)
                sound = True
                return words
            except (TranscriberError, LanguageError):
                sound = True
                raise
            except (EOFError, BrokenPipeError):
                continue
            finally:
                self._give_back(child, sound)
        raise HearingBroke("the process that hears words broke off on this recording")

    def _child(self) -> _Child:
        with self._lock:
            if self._closed:
                raise CancelledError
            child = self._idle.pop() if self._idle else None
        child = child or _Child(self._model)
        with self._lock:
            self._busy.add(child)
            if self._closed:  # meanwhile: whoever did that does not know of this one
                child.kill()
        return child

    def _give_back(self, child: _Child, sound: bool) -> None:
        with self._lock:
            self._busy.remove(child)
            if sound and not self._closed:
                self._idle.append(child)
                return
        child.close()


class _Child:
    """One child. Not thread-safe."""

    def __init__(self, model: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(os.getpid()), model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=str(Path(__file__).resolve().parents[2]),
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        self._broken = self._process.stdout.readline() != _READY

    def words(self, samples: np.ndarray, language: str, look: Callable[[Held], None] | None) -> list[TimedWord]:
        """Raises EOFError or BrokenPipeError where the child broke off."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._broken:
            raise EOFError
        raw = samples.astype(np.float32).tobytes()
        self._process.stdin.write(json.dumps({"language": language, "bytes": len(raw)}).encode() + b"\n" + raw)
        self._process.stdin.flush()
        while look is not None and not select.select([self._process.stdout], [], [], _LOOK_SECONDS)[0]:
            look(self._held)
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        answer = json.loads(line)
        if "language" in answer:
            raise LanguageError(answer["language"])
        if "transcriber" in answer:
            raise TranscriberError(answer["transcriber"])
        return [TimedWord(**word) for word in answer["words"]]

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """From any thread: whoever waits for its answer waits no longer."""
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what the child did not read goes with it
                    pipe.close()


def serve(hearer: Hearer, stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """The child's loop, until its input ends."""
    while line := stdin.readline():
        request = json.loads(line)
        samples = np.frombuffer(exactly(stdin, request["bytes"]), np.float32)
        answer: dict[str, Any]
        try:
            answer = {"words": [asdict(word) for word in hearer.words(samples, request["language"])]}
        except LanguageError as error:
            answer = {"language": str(error)}
        except (TranscriberError, ImportError) as error:
            answer = {"transcriber": str(error)}
        stdout.write(json.dumps(answer).encode() + b"\n")
        stdout.flush()


def main(model: str) -> None:
    """A child."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not stand among the answers
    serve(Hearer(model, "cpu", 1), sys.stdin.buffer, answers)
