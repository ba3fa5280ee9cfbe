"""Recordings of hours: windows of speech, cut from a file in a child process while it is decoded.

Neither process ever holds the recording: the child reads the file block by block, and waits while nobody takes windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speech.audio import SILENCE_DBFS, Quality

Side = int | None
"""A channel that is judged by itself, from 0; None: all channels mixed."""


@dataclass(frozen=True)
class Listening:
    """How a recording is heard. Raises ValueError where a window would hold nothing."""

    sides: bool = False
    """Judge each channel by itself, one verdict a side; else channels are mixed, as in a short recording."""
    window_seconds: float = 10.0
    """Longest window that is judged at once; `LongLimits.max_window_seconds` holds all the same."""

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
    min_rate: int | None = None
    max_rate: int | None = None
    max_channels: int | None = 8
    stall_seconds: float = 30.0
    """The child is ended when it neither gives a window nor gets on for so long; time that it waits does not count."""
    memory: int = 2 << 30
    """Bytes of address space of the child; libraries alone map most of a gigabyte."""


@dataclass(frozen=True)
class Window:
    """Speech from `start` to `end` (seconds in the recording): `samples` (n,) float32, mono, 16 kHz; of these seconds
    `speech_seconds` are speech, the rest pauses. `side` is the channel where sides are judged, else None."""

    side: Side
    start: float
    end: float
    samples: np.ndarray
    speech_seconds: float = 0.0


@dataclass(frozen=True)
class Heard:
    """What was in the whole recording, by side where it differs. `source_rate` is in hertz.

    `cut_short`: the file breaks off, or is damaged from `seconds` on: what was decoded before is all that was heard.
    `announced_seconds`: how long the file says it is, None where it does not say.
    """

    seconds: float
    speech_seconds: dict[Side, float]
    channels: int
    source_rate: int
    quality: dict[Side, Quality]
    cut_short: bool = False
    announced_seconds: float | None = None

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides to give a verdict of, in order."""
        return tuple(self.quality)


class Cutter:
    """Windows of one file in order of their ends, each side's without overlap; once. Ends its child when left.

        with Cutter(path, Listening(), LongLimits()) as cutter:
            for window in cutter: ...
        cutter.heard

    Iterating raises `AudioError` with the codes of `speech.audio.decode`, `no_speech` (there is sound, but none of it
    is speech), `decoder_crashed` or `decoder_timeout`; windows before it may have been given: they are not the
    recording's.
    """

    def __init__(self, path: Path, listening: Listening | None = None, limits: LongLimits | None = None) -> None:
        """Raises `AudioError` `empty` or `too_large`, OSError where there is no such file, ValueError where windows of
        `listening` would be shorter than the bundle's least."""
        raise NotImplementedError

    @property
    def position(self) -> float:
        """Seconds of the recording that were decoded so far."""
        raise NotImplementedError

    @property
    def announced_seconds(self) -> float | None:
        """How long the file says it is; None where it does not say, and before the first window. Headers lie."""
        raise NotImplementedError

    @property
    def heard(self) -> Heard:
        """Raises RuntimeError before the iterator is exhausted."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Window]:
        raise NotImplementedError

    def close(self) -> None:
        """End the child."""

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
