"""The decoder in a child process with limits: a file that crashes, hangs or fills memory costs one clip.

The child (`python -m speech.audio.isolated`) says `ready` on its standard output, then reads requests from its standard
input and answers on its standard output. A request is a line of JSON (`bytes`: how many bytes of sound follow,
`limits`) and those bytes; an answer is a line of JSON and, when it succeeded, float32 samples in the machine's byte
order."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from speech.audio.decode import AudioError, AudioLimits, Quality, Sound, decode
from speech.process.background import NAME

DEFAULT_TIMEOUT = 30.0  # seconds; a minute of mp3 decodes in well under one
START_TIMEOUT = 120.0  # seconds; imports take half a second, on an overloaded machine many times that
DEFAULT_MEMORY = 2 << 30  # bytes of address space of the child; libraries alone map most of a gigabyte
_READY = b"ready\n"


class Decoder:
    """One child process that decodes; started when first needed, started anew after a crash. Thread-safe."""

    def __init__(self, timeout: float = DEFAULT_TIMEOUT, memory: int = DEFAULT_MEMORY) -> None:
        """`timeout`: seconds a file may take; `memory`: bytes of address space the child may use."""
        self._command = [sys.executable, "-m", "speech.audio.isolated", str(memory)]
        self._timeout = timeout
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, source: bytes | Path, limits: AudioLimits | None = None) -> Sound:
        """As `speech.audio.decode.decode`; besides raises `AudioError` `decoder_crashed` or `decoder_timeout`."""
        limits = limits or AudioLimits()
        if isinstance(source, Path):
            size = source.stat().st_size
            if size > limits.max_bytes:  # refused here, so that it is never read into this process
                raise AudioError("too_large", f"{size / 1e6:.1f} MB; at most {limits.max_bytes / 1e6:.0f} MB are taken")
            source = source.read_bytes()
        with self._lock:
            return self._ask(source, limits)

    def close(self) -> None:
        """End the child; a file that another thread has it decode breaks off."""
        child = self._child
        if child is not None:
            child.kill()
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):  # what the child did not read goes with it
                        pipe.close()
            self._child = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, data: bytes, limits: AudioLimits) -> Sound:
        child = self._running()
        with killed_after(child, self._timeout) as timed_out:
            try:
                answer, raw = _exchange(child, data, limits)
            except (EOFError, BrokenPipeError, json.JSONDecodeError) as error:
                self._end()
                if timed_out.is_set():
                    raise AudioError("decoder_timeout", f"decoding took longer than {self._timeout:g} s") from error
                raise AudioError("decoder_crashed", "the decoder broke off on this file; export it again") from error
            except BaseException:
                self._end()  # half an answer may be in the pipe
                raise
        if timed_out.is_set():
            self._end()  # killed just after it had answered: the next file must not be blamed
        if "code" in answer:
            raise AudioError(answer["code"], answer["message"])
        samples = np.frombuffer(raw, dtype=np.float32)
        return Sound(samples, answer["rate"], answer["channels"], Quality(**answer["quality"]))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            root = str(Path(__file__).resolve().parents[2])
            # Each thread of a linear algebra library maps 40 MB: on many cores that alone would pass the limit.
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self._child = child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=root,
                env=environment,
            )
            assert child.stdout is not None
            with killed_after(child, START_TIMEOUT):  # the time a file may take begins when the child is there
                ready = child.stdout.readline() == _READY
            if not ready:
                self._end()
                raise AudioError("decoder_crashed", "the decoder does not start; is its memory limit too low?")
        return self._child


class Mortal(Protocol):
    """A process that can be ended."""

    def kill(self) -> None: ...


@contextmanager
def killed_after(child: Mortal, seconds: float) -> Iterator[threading.Event]:
    """Kill the child if the block takes longer; the event says that it was."""
    timed_out = threading.Event()

    def expire() -> None:
        timed_out.set()
        child.kill()

    timer = threading.Timer(seconds, expire)
    timer.name, timer.daemon = f"{NAME}-time-limit", True
    timer.start()
    try:
        yield timed_out
    finally:
        timer.cancel()
        timer.join()  # so that it is known for certain whether it fired


def _exchange(child: subprocess.Popen[bytes], data: bytes, limits: AudioLimits) -> tuple[dict[str, Any], bytes]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps({"bytes": len(data), "limits": asdict(limits)}).encode() + b"\n")
    child.stdin.write(data)
    child.stdin.flush()
    line = child.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    answer = json.loads(line)
    return answer, exactly(child.stdout, answer.get("bytes", 0))


def exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def serve(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """The child's loop: say that it is there, then decode what is asked for until the input ends."""
    stdout.write(_READY)
    stdout.flush()
    while line := stdin.readline():
        request = json.loads(line)
        data = exactly(stdin, request["bytes"])
        raw = b""
        try:
            sound = decode(data, AudioLimits(**request["limits"]))
        except AudioError as error:
            answer: dict[str, Any] = {"code": error.code, "message": str(error)}
        except MemoryError:
            answer = {"code": "decoder_crashed", "message": "decoding needs more memory than is allowed"}
        else:
            raw = sound.samples.tobytes()
            answer = {
                "rate": sound.source_rate,
                "channels": sound.source_channels,
                "quality": sound.quality.as_dict(),
                "bytes": len(raw),
            }
        stdout.write(json.dumps(answer).encode() + b"\n" + raw)
        stdout.flush()


if __name__ == "__main__":
    memory_limit = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not stand among the answers
    import_module("av")  # takes a third of a second, for which the first mp3 would wait
    serve(sys.stdin.buffer, answers)
