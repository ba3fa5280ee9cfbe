"""Children that hear long recordings, one each: `python -m speech.longform.child`, asked as
`speech.process.fork_server` asks.

A child answers with messages (`speech.process.messages`), each of a `kind`: position, window, summary or error. The
message of a window carries float32 samples in the machine's byte order. While nobody reads, the child waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from io import FileIO
from typing import IO, Any

import numpy as np

from speech.audio.limits import AudioError
from speech.audio.other_sound import OtherSound
from speech.audio.speech_guard import no_speech
from speech.audio.stream import Blocks
from speech.audio.vad import load
from speech.longform.cutter import Channel, Listening, LongLimits, RecordingSummary, Window
from speech.longform.overlap_windows import OverlapCutter
from speech.longform.resampling import resampled
from speech.longform.speech_windows import ChannelCutter
from speech.longform.stretches import Stretches
from speech.process import fork_server
from speech.process.lifetime import end_with, give_way, ignore_group_signals
from speech.process.messages import write
from speech.process.served import confine

BEAT_SECONDS = 10.0  # of sound between two words on how far it is: silence must not look like standing still


def windows(
    blocks: Blocks, listening: Listening, limits: LongLimits, overlap_seconds: float | None = None
) -> Iterator[Window | float | RecordingSummary]:
    """Windows, the position in seconds every `BEAT_SECONDS`, and at the end the summary. With `overlap_seconds` the
    windows are of all sound, mixed, and not of speech.

    Raises `AudioError` `too_long`, `too_short`, `not_audio`, `silent` or `no_speech`.
    """
    cutters = _cutters(blocks.channels, listening, limits, overlap_seconds)
    stretches = [] if overlap_seconds is not None else [_stretches(limits) for _ in cutters]
    seconds, given = 0.0, 0
    beat = 0.0
    for sound, length in resampled(blocks, limits, listening.each_channel):
        seconds += length
        if not np.isfinite(sound).all():
            raise AudioError("not_audio", "the file decodes to values that are not finite numbers; export it again")
        for stretch, samples in zip(stretches, sound, strict=False):
            stretch.add(samples)
        for cutter, samples in zip(cutters, sound, strict=True):
            for window in cutter.add(samples):
                given += 1
                yield window
        if seconds >= beat:
            yield seconds
            beat = seconds + BEAT_SECONDS
    if seconds < limits.min_seconds:
        raise AudioError("too_short", f"{seconds:.2f} s of sound; at least {limits.min_seconds:g} s are needed")
    quality = {cutter.channel: cutter.levels.quality() for cutter in cutters}
    silent = all(each.is_silent(limits.silence_dbfs) for each in quality.values())
    if not (silent and overlap_seconds is not None):
        for cutter in cutters:
            for window in cutter.finish():
                given += 1
                yield window
    if silent and (overlap_seconds is not None or not given):
        raise AudioError("silent", "nothing is heard in the recording; check the microphone and record again")
    if not given:
        raise no_speech()
    for stretch in stretches:
        stretch.finish()
    speech = {cutter.channel: round(cutter.speech_seconds, 3) for cutter in cutters}
    yield RecordingSummary(
        seconds,
        speech,
        blocks.channels,
        blocks.rate,
        quality,
        blocks.cut_short,
        blocks.announced_seconds,
        blocks.damaged,
        {cutter.channel: tuple(each.found) for cutter, each in zip(cutters, stretches, strict=False)},
    )


def _cutters(
    channels: int, listening: Listening, limits: LongLimits, overlap_seconds: float | None
) -> Sequence[ChannelCutter | OverlapCutter]:
    longest = min(listening.window_seconds, limits.max_window_seconds)
    if overlap_seconds is not None:
        other = OtherSound(limits.silence_dbfs) if limits.measure_speech else None
        return [OverlapCutter(longest, overlap_seconds, other)]
    judged: tuple[Channel, ...] = tuple(range(channels)) if listening.each_channel else (None,)
    return [ChannelCutter(channel, limits.min_seconds, longest, limits.silence_dbfs) for channel in judged]


def _stretches(limits: LongLimits) -> Stretches:
    return Stretches(limits.max_window_seconds, limits.min_speech_seconds, limits.silence_dbfs)


def serve(
    file: FileIO, answers: IO[bytes], listening: Listening, limits: LongLimits, overlap_seconds: float | None
) -> None:
    """Hear the file and answer."""

    def answer(kind: str, content: dict[str, Any], raw: bytes = b"") -> None:
        write(answers, {"kind": kind, **content}, raw)

    try:
        blocks = Blocks(file, limits.shape)
        for found in windows(blocks, listening, limits, overlap_seconds):
            match found:
                case Window():
                    fields = ("channel", "start", "end", "speech_seconds", "silenced")
                    place = {name: getattr(found, name) for name in fields}
                    answer("window", place, found.samples.tobytes())
                case RecordingSummary():
                    answer("summary", found.as_dict())
                case float():
                    answer("position", {"position": found, "announced": blocks.announced_seconds})
    except AudioError as error:
        answer("error", {"code": error.code, "message": str(error)})
    except MemoryError:
        answer("error", {"code": "decoder_crashed", "message": "decoding needs more memory than is allowed"})


def main() -> None:
    """Serve; what is imported and loaded here, no child has to wait for."""
    ignore_group_signals()
    load()
    import_module("av")
    server = os.getpid()

    def work(file: FileIO, answers: IO[bytes], request: dict[str, Any]) -> None:
        if request["patient"]:
            give_way(os.getpid())
        limits = LongLimits(**request["limits"])
        confine(limits.memory)
        end_with(server)
        serve(file, answers, Listening(**request["listening"]), limits, request["overlap_seconds"])

    fork_server.serve(work)


if __name__ == "__main__":
    main()
