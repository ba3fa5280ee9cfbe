"""The decoder in a child process with limits: a file that crashes, hangs or fills memory costs one clip.

The child is `python -m speech.audio.isolated`, asked as `speech.process.worker` asks. A question is a file's bytes with
`limits`. An answer is float32 samples in the machine's byte order, with the sound's other fields, or a `code` and a
`message` where there is no sound.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from speech.audio.decode import AudioError, AudioLimits, Quality, Sound, decode
from speech.audio.vad import load
from speech.process.child import ChildBroke, ChildNotStarted, ChildTimeout
from speech.process.served import begin, confine, serve
from speech.process.worker import Worker

DEFAULT_TIMEOUT = 30.0  # seconds; a minute of mp3 decodes in well under one
DEFAULT_MEMORY = 2 << 30  # bytes of address space of the child; libraries alone map most of a gigabyte


class Decoder:
    """One child process that decodes; started when first needed, started anew after a crash. Thread-safe."""

    def __init__(self, timeout: float = DEFAULT_TIMEOUT, memory: int = DEFAULT_MEMORY) -> None:
        """`timeout`: seconds a file may take; `memory`: bytes of address space the child may use."""
        self._timeout = timeout
        self._worker = Worker([sys.executable, "-m", "speech.audio.isolated", str(memory)])

    def decode(self, source: bytes | Path, limits: AudioLimits | None = None) -> Sound:
        """As `speech.audio.decode.decode`; besides raises `AudioError` `decoder_crashed` or `decoder_timeout`.

        Raises `ChildNotStarted` or OSError where this machine cannot start the child.
        """
        limits = limits or AudioLimits()
        if isinstance(source, Path):
            size = source.stat().st_size
            if size > limits.max_bytes:  # refused here, so that it is never read into this process
                raise AudioError("too_large", f"{size / 1e6:.1f} MB; at most {limits.max_bytes / 1e6:.0f} MB are taken")
            source = source.read_bytes()
        try:
            answer, raw = self._worker.ask({"limits": asdict(limits)}, source, self._timeout)
        except ChildTimeout as error:
            raise AudioError("decoder_timeout", f"decoding took longer than {self._timeout:g} s") from error
        except ChildNotStarted as error:  # no fault of the file's
            raise ChildNotStarted("the decoder does not start; is its memory limit too low?") from error
        except ChildBroke as error:
            raise AudioError("decoder_crashed", "the decoder broke off on this file; export it again") from error
        if "code" in answer:
            raise AudioError(answer["code"], answer["message"])
        samples = np.frombuffer(raw, dtype=np.float32)
        quality = Quality(**answer.pop("quality"))
        spans = tuple((start, end) for start, end in answer.pop("spans"))
        return Sound(samples, quality=quality, spans=spans, **answer)

    def close(self) -> None:
        """End the child for good; a file that another thread has it decode breaks off."""
        self._worker.close()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decoded(message: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """In the child: the answer to a question."""
    try:
        sound = decode(data, AudioLimits(**message["limits"]))
    except AudioError as error:
        return {"code": error.code, "message": str(error)}, b""
    except MemoryError:
        return {"code": "decoder_crashed", "message": "decoding needs more memory than is allowed"}, b""
    about = {name: value for name, value in vars(sound).items() if name != "samples"}
    return about | {"quality": sound.quality.as_dict()}, sound.samples.tobytes()


def main(memory: int = DEFAULT_MEMORY) -> None:
    """The child."""
    confine(memory)
    # What takes long to load, for which the first file would wait.
    import_module("av")
    load()
    serve(begin(), _decoded)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
