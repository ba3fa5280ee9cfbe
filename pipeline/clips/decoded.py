"""Every file decoded once, in children with limits, several at a time, in the order given."""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.clips.samples import content_hash, to_int16
from speech.audio.decode import AudioError, AudioLimits, Quality
from speech.audio.isolated import Decoder
from speech.audio.quality import loss_cautions
from speech.files import sha256_file
from speech.process.background import NAME

Progress = Callable[[int, int, float], None]
"""Takes files done, files in all, and seconds left; called at most once a second, and at the end."""

MakeDecoder = Callable[[], Decoder]
_WAITING_PER_WORKER = 4  # clips decoded but not yet stored; bounds memory when one slow file holds up the rest
_SECONDS_BETWEEN_REPORTS = 1.0
_BITS = 8  # of a byte
_STEPS_BEFORE_ESTIMATE = 10  # the first files pay for the start of the decoders


@dataclass(frozen=True)
class Decoded:
    """One decoded file: hashes of its bytes and of its sound, `samples` int16 (n,) at 16 kHz, what it was before."""

    sha256: str
    content: str
    samples: np.ndarray
    source_rate: int
    channels: int
    quality: Quality
    losses: tuple[str, ...] = ()
    """Codes of what is missing of it: `cut_short`, `damaged`."""
    codec: str = ""
    """Container and codec of the file."""
    kilobits: float = 0.0
    """Of the file, for a second of its sound."""


def default_workers() -> int:
    """One decoder per core, at most four: beyond that the disk is what is waited for."""
    return max(1, min(4, len(os.sched_getaffinity(0))))


def decode_files(
    paths: Sequence[str],
    limits: AudioLimits,
    make_decoder: MakeDecoder,
    workers: int,
    progress: Progress | None = None,
) -> Generator[tuple[list[str], Decoded | AudioError], None, None]:
    """Decode `paths`; yields the paths that hold equal bytes with what they decode to, or why they do not.

    Files with equal bytes are decoded once. At most `4 * workers` decoded files are held in memory.
    """
    with ThreadPoolExecutor(workers, f"{NAME}-hash") as pool:
        hashed = list(pool.map(_hash, paths))
    groups: dict[str, list[str]] = {}
    for path, digest in zip(paths, hashed, strict=True):
        if isinstance(digest, AudioError):
            yield [path], digest
        else:
            groups.setdefault(digest, []).append(path)
    meter = _Meter(len(groups), progress)
    for digest, outcome in _decode_each(groups, limits, make_decoder, workers):
        meter.step()
        yield groups[digest], outcome


def _decode_each(
    groups: dict[str, list[str]], limits: AudioLimits, make_decoder: MakeDecoder, workers: int
) -> Iterator[tuple[str, Decoded | AudioError]]:
    free: queue.SimpleQueue[Decoder] = queue.SimpleQueue()

    def decode(digest: str) -> Decoded | AudioError:
        decoder = free.get()
        try:
            sound = decoder.decode(Path(groups[digest][0]), limits)
        except AudioError as error:
            return error
        finally:
            free.put(decoder)
        samples = to_int16(sound.speech)
        return Decoded(
            digest,
            content_hash(samples),
            samples,
            sound.source_rate,
            sound.source_channels,
            sound.quality,
            tuple(one.code for one in loss_cautions(sound.cut_short, sound.damaged)),
            sound.codec,
            round(Path(groups[digest][0]).stat().st_size * _BITS / 1000 / sound.seconds, 1),
        )

    with ExitStack() as stack:
        for _ in range(workers):
            free.put(stack.enter_context(make_decoder()))
        # Entered last, left first: no decoder is closed while a thread still uses it.
        pool = stack.enter_context(ThreadPoolExecutor(workers, f"{NAME}-decode"))
        waiting: deque[tuple[str, Future[Decoded | AudioError]]] = deque()
        try:
            for digest in groups:
                waiting.append((digest, pool.submit(decode, digest)))
                if len(waiting) > _WAITING_PER_WORKER * workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _hash(path: str) -> str | AudioError:
    try:
        return sha256_file(Path(path))
    except OSError as error:
        return AudioError("unreadable", f"the file cannot be read: {error.strerror}")


class _Meter:
    """Tells how far decoding is, at most once a second and at the end."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done = 0
        self._start = self._told = time.monotonic()

    def step(self) -> None:
        self._done += 1
        now = time.monotonic()
        last = self._done == self._total
        early = self._done < _STEPS_BEFORE_ESTIMATE or now - self._told < _SECONDS_BETWEEN_REPORTS
        if self._progress is None or (early and not last):
            return
        self._told = now
        self._progress(self._done, self._total, (now - self._start) / self._done * (self._total - self._done))
