"""Recordings of hours: windows of speech, cut from a file in a child process while it is decoded.

Neither process ever holds the whole recording. The child reads the file block by block, and waits while nobody takes
windows.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from speech.audio.decode import SILENCE_DBFS, AudioError, AudioLimits, Quality
from speech.audio.limits import MIN_SPEECH_SECONDS
from speech.audio.speech_guard import Span
from speech.longform.stretches import Stretch
from speech.process.child import START_SECONDS, ChildBroke, ChildTimeout
from speech.process.fork_server import ForkedChild, ForkServer

FRAME_SECONDS = 0.032  # windows are whole numbers of these

Channel = int | None
"""A channel that is judged by itself, from 0; None: all channels mixed."""


@dataclass(frozen=True)
class Listening:
    """How a recording is judged. Raises ValueError where a window would hold nothing."""

    each_channel: bool = False
    """Judge each channel by itself, with a verdict of its own; else channels are mixed, as in a short recording."""
    window_seconds: float = 10.0
    """Longest window that is judged at once, within `LongLimits.max_window_seconds`."""
    transcript: bool = False
    """Keep the words of each window, too, heard by Whisper."""

    def __post_init__(self) -> None:
        if not self.window_seconds > 0:
            raise ValueError(f"window_seconds: must be positive, is {self.window_seconds}")


@dataclass(frozen=True)
class LongLimits:
    """What a long recording may be and cost. Seconds are of decoded sound, bytes of the encoded file, rates in hertz.

    `min_seconds` and `max_window_seconds` are the bundle's limits on what it judges at once.
    """

    max_bytes: int = 2 << 30
    max_seconds: float = 12 * 3600.0
    min_seconds: float = 0.2
    max_window_seconds: float = 60.0
    silence_dbfs: float = SILENCE_DBFS
    min_speech_seconds: float = MIN_SPEECH_SECONDS
    """As in `AudioLimits`, of the stretches by which a recording is compared with others; nothing is refused by it."""
    measure_speech: bool = False
    """Measure how long somebody speaks also where all sound is heard, and silence other sound beside speech."""
    min_rate: int | None = None
    max_rate: int | None = None
    max_channels: int | None = 8
    stall_seconds: float = 30.0
    """The child is killed when it sends nothing for so long; time in which it waits for us does not count."""
    memory: int = 2 << 30
    """Bytes of address space of the child; libraries alone map most of a gigabyte."""

    @property
    def shape(self) -> AudioLimits:
        """The limits on rate and channels."""
        return AudioLimits(min_rate=self.min_rate, max_rate=self.max_rate, max_channels=self.max_channels)


@dataclass(frozen=True)
class Window:
    """Speech from `start` to `end` (seconds in the recording): `samples` (n,) float32, mono, 16 kHz.

    Of these seconds `speech_seconds` are speech, the rest pauses; of windows that overlap each counts what is new since
    the one before. `channel` is None where channels are mixed. `silenced`: samples that were other sound beside
    speech, the first of each stretch and the one after its last; they are 0.
    """

    channel: Channel
    start: float
    end: float
    samples: np.ndarray
    speech_seconds: float = 0.0
    silenced: tuple[Span, ...] = ()


@dataclass(frozen=True)
class RecordingSummary:
    """What is known of the whole recording, by channel where it differs. `source_rate` is in hertz.

    `cut_short`: the end is missing; `damaged`: something before it does not decode: the rest is what was heard.
    `announced_seconds`: how long the file says it is, None where it does not say. `stretches`: what each channel sounds
    like where somebody speaks in it; none where windows are of all sound.
    """

    seconds: float
    speech_seconds: dict[Channel, float]
    source_channels: int
    source_rate: int
    quality: dict[Channel, Quality]
    cut_short: bool = False
    announced_seconds: float | None = None
    damaged: bool = False
    stretches: Mapping[Channel, tuple[Stretch, ...]] = field(default_factory=dict)

    @property
    def incomplete(self) -> bool:
        """Whether something of the recording was not heard."""
        return self.cut_short or self.damaged

    @property
    def judged_channels(self) -> tuple[Channel, ...]:
        """The channels to give a verdict of, in order; (None,) where they are mixed."""
        return tuple(self.quality)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        channels = [
            {
                "channel": channel,
                "speech_seconds": self.speech_seconds[channel],
                "quality": quality.as_dict(),
                "stretches": [stretch.as_dict() for stretch in self.stretches.get(channel, ())],
            }
            for channel, quality in self.quality.items()
        ]
        others = ("seconds", "source_channels", "source_rate", "cut_short", "announced_seconds", "damaged")
        return {name: getattr(self, name) for name in others} | {"channels": channels}

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> RecordingSummary:
        """Raises KeyError or TypeError where `value` is not what `as_dict` gives."""
        value = dict(value)
        channels = value.pop("channels")
        return RecordingSummary(
            **value,
            speech_seconds={part["channel"]: part["speech_seconds"] for part in channels},
            quality={part["channel"]: Quality(**part["quality"]) for part in channels},
            stretches={part["channel"]: tuple(map(Stretch.from_dict, part["stretches"])) for part in channels},
        )


class Cutter:
    """Windows of one file, each channel's in order of time and without overlap; once. Ends its child when left.

        with Cutter(path, Listening(), LongLimits()) as cutter:
            for window in cutter: ...
        cutter.summary

    Iterating raises `AudioError` with the codes of `speech.audio.decode.decode`, `no_speech` (there is sound, but none
    of it is speech), `decoder_crashed` or `decoder_timeout`; windows given before that are not all of the recording's.
    It raises OSError where this machine has no processes or handles left, or the server was ended. A file that breaks
    off is no error: `summary.cut_short` tells.
    """

    def __init__(
        self,
        source: Path | IO[bytes],
        listening: Listening | None = None,
        limits: LongLimits | None = None,
        patient: bool = False,
        server: ForkServer | None = None,
        overlap_seconds: float | None = None,
    ) -> None:
        """`source` is a file, or an open one with a descriptor; that is read from its beginning and left open. A
        `patient` child decodes when nothing else wants its core. `server` is one of `hearing_server`, for many
        recordings; without it the recording has a server of its own. With `overlap_seconds` the windows are of all
        sound, mixed, and neighbours overlap by so much.

        Raises `AudioError` `empty` or `too_large`, OSError where there is no such file, ValueError where the longest
        window is shorter than the shortest that may be judged.
        """
        self._patient = patient
        self._listening, self._limits = listening or Listening(), limits or LongLimits()
        longest = min(self._listening.window_seconds, self._limits.max_window_seconds)
        if longest < self._limits.min_seconds + FRAME_SECONDS:
            raise ValueError(f"windows of at most {longest:g} s: at least {self._limits.min_seconds:g} s are judged")
        self._own = hearing_server() if server is None else None
        self._server = server or self._own
        self._child: ForkedChild | None = None
        self._summary: RecordingSummary | None = None
        self._position = 0.0
        self._announced: float | None = None
        self._begun = False
        self._overlap_seconds = overlap_seconds
        # A descriptor of its own, but one place to read at: the child sets it.
        if isinstance(source, Path):
            self._file = source.open("rb")
        else:
            source.flush()
            self._file = os.fdopen(os.dup(source.fileno()), "rb")
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        if not 0 < size <= self._limits.max_bytes:
            self._file.close()
            if size == 0:
                raise AudioError("empty", "the file is empty")
            most = self._limits.max_bytes / 1e6
            raise AudioError("too_large", f"{size / 1e6:.1f} MB; at most {most:.0f} MB are taken")

    @property
    def position(self) -> float:
        """Seconds of the recording that were decoded so far."""
        return self._position

    @property
    def announced_seconds(self) -> float | None:
        """How long the file says it is; None where it does not say, and before the first window. Headers lie."""
        return self._announced

    @property
    def summary(self) -> RecordingSummary:
        """Raises RuntimeError before the iterator is exhausted."""
        if self._summary is None:
            raise RuntimeError("the summary is known when the windows are exhausted")
        return self._summary

    def __iter__(self) -> Iterator[Window]:
        """Raises RuntimeError when asked a second time."""
        if self._begun:
            raise RuntimeError("a recording is heard once; make another cutter")
        self._begun = True
        child = self._start()
        seconds = START_SECONDS  # imports; a window or a beat must then come in less
        while self._summary is None:
            message, raw = self._received(child, seconds)
            seconds = self._limits.stall_seconds
            match message.pop("kind"):
                case "position":
                    self._position, self._announced = message["position"], message["announced"]
                case "window":
                    silenced = tuple((start, end) for start, end in message.pop("silenced"))
                    yield Window(**message, samples=np.frombuffer(raw, np.float32), silenced=silenced)
                case "summary":
                    self._summary = RecordingSummary.from_dict(message)
                case "error":
                    self.close()
                    raise AudioError(message["code"], message["message"])
                case "no_child":
                    self.close()
                    raise OSError(message["errno"], os.strerror(message["errno"]))
        self.close()

    def _received(self, child: ForkedChild, seconds: float) -> tuple[dict[str, Any], bytes]:
        """The child's next message; where there is none, why the recording is not heard to its end."""
        try:
            return child.receive(seconds)
        except ChildTimeout as error:
            self.close()
            raise AudioError("decoder_timeout", f"the decoder stood still for {seconds:g} s") from error
        except ChildBroke as error:
            deserted = child.deserted
            self.close()
            if deserted:
                raise OSError(errno.EAGAIN, "the process that forks decoders has ended") from error
            raise AudioError("decoder_crashed", "the decoder broke off on this file; export it again") from error
        except BaseException:
            self.close()
            raise

    def _start(self) -> ForkedChild:
        assert self._server is not None
        options = {"listening": asdict(self._listening), "limits": asdict(self._limits), "patient": self._patient}
        options["overlap_seconds"] = self._overlap_seconds
        # The child is given the open file, and no name that it could follow.
        self._child = self._server.fork(self._file, options)
        return self._child

    def interrupt(self) -> None:
        """End the child, from any thread: whoever waits for a window is given `AudioError`."""
        if (child := self._child) is not None:
            child.kill()

    def close(self) -> None:
        """End the child."""
        self._file.close()
        if self._child is not None:
            self._child.close()
            self._child = None
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hearing_server() -> ForkServer:
    """A server whose children hear recordings: close it when there are no more."""
    return ForkServer([sys.executable, "-m", "speech.longform.child"])
