"""A file of any length as blocks of samples, so that it is never in memory as a whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO

import numpy as np
import soundfile

from speech.audio import CONTAINERS, AudioError, require_shape
from speech.listening import LongLimits

BLOCK_SECONDS = 1.0
_SLACK_SECONDS = 0.5  # an encoder's padding: a file that lacks no more is whole
_MOST_FRAMES = 1 << 56  # libsndfile's word for not knowing is greater
_STREAMED_BYTES = 0x7FFFE000  # a wav header written before the end was known claims this much or more
_LONGEST_PAGE = 65_307  # bytes of an Ogg page
_LAST_PAGE = 0x04  # its flag


class _BrokenError(Exception):
    """Decoding cannot go on."""


@dataclass(frozen=True)
class _Source:
    rate: int
    channels: int
    announced_seconds: float | None
    blocks: Iterator[np.ndarray]
    unfinished: bool = False


class Blocks:
    """The sound of an open file, which is not buffered: iterate, once, over float32 (n, `channels`) at `rate` hertz, a
    second each or little more.

    `announced_seconds` is how long the file says it is, None where it does not say or only guesses. Once exhausted,
    `cut_short` says whether sound is missing: the file announces more, lacks its end, or is damaged where it ended.
    Raises `AudioError` `not_audio`, `bad_sample_rate` or `too_many_channels`, and `empty` where there is no sound.
    """

    def __init__(self, file: FileIO, limits: LongLimits) -> None:
        self.cut_short = False
        try:
            self._source = _by_libsndfile(file, limits)
            self._first = next(self._source.blocks, None)
        except AudioError:
            raise
        except (soundfile.LibsndfileError, ValueError, RuntimeError, _BrokenError):
            file.seek(0)
            self._source = _by_ffmpeg(file, limits)
            try:
                self._first = next(self._source.blocks, None)
            except _BrokenError as error:
                raise AudioError("not_audio", "the file is no sound recording that can be decoded") from error
        if self._first is None:
            raise AudioError("empty", "the file holds no sound")
        self.rate, self.channels = self._source.rate, self._source.channels
        self.announced_seconds = self._source.announced_seconds

    def __iter__(self) -> Iterator[np.ndarray]:
        assert self._first is not None
        decoded = len(self._first)
        yield self._first
        try:
            for block in self._source.blocks:
                decoded += len(block)
                yield block
        except _BrokenError:
            self.cut_short = True
        lacks = (self.announced_seconds or 0.0) - decoded / self.rate
        self.cut_short = self.cut_short or self._source.unfinished or lacks > _SLACK_SECONDS


def _by_libsndfile(file: FileIO, limits: LongLimits) -> _Source:
    start = file.read(10)
    unfinished = start.startswith(b"OggS") and not _has_last_page(file)
    guesses = not _counts_frames(file, start)
    file.seek(0)
    # By its number: a name that ends in .raw would be taken for samples without a header.
    sound = soundfile.SoundFile(os.dup(file.fileno()), closefd=True)
    require_shape(sound.samplerate, sound.channels, limits.shape)
    seconds = None if guesses or sound.frames > _MOST_FRAMES else sound.frames / sound.samplerate
    claimed = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if claimed and seconds and int(claimed[1]) < _STREAMED_BYTES and int(claimed[2]):
        seconds *= int(claimed[1]) / int(claimed[2])  # libsndfile itself goes by what is there

    def blocks() -> Iterator[np.ndarray]:
        with sound:
            try:
                while len(block := sound.read(int(BLOCK_SECONDS * sound.samplerate), "float32", always_2d=True)):
                    yield block
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise _BrokenError from error

    return _Source(sound.samplerate, sound.channels, seconds, blocks(), unfinished)


def _by_ffmpeg(file: FileIO, limits: LongLimits) -> _Source:
    """What libsndfile does not read (m4a, webm), through FFmpeg's libraries. A file object: no name can be followed."""
    import av

    try:
        container = av.open(file, mode="r", options={"format_whitelist": CONTAINERS})
        if not container.streams.audio:
            raise AudioError("not_audio", "the file holds no sound track")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError("not_audio", "the sound track is in a format that cannot be decoded")
        rate, channels = stream.rate, stream.channels
        require_shape(rate, channels, limits.shape)
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        if seconds is None and container.duration and len(container.streams) == 1:
            seconds = container.duration / av.time_base
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError("not_audio", "the file is no sound recording that can be decoded") from error

    def blocks() -> Iterator[np.ndarray]:
        resampler = av.AudioResampler(format="fltp", rate=rate)
        parts: list[np.ndarray] = []
        try:
            with container:
                for frame in container.decode(stream):
                    parts += [piece.to_ndarray().T for piece in resampler.resample(frame)]
                    if any(part.shape[1] != channels for part in parts):
                        raise AudioError("not_audio", "the number of channels changes midway; export the file again")
                    if sum(map(len, parts)) >= BLOCK_SECONDS * rate:
                        yield np.concatenate(parts)
                        parts = []
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, AudioError):
                raise
            if parts:
                yield np.concatenate(parts)
            raise _BrokenError from error
        if parts:
            yield np.concatenate(parts)

    return _Source(rate, channels, seconds, blocks())


def _has_last_page(file: FileIO) -> bool:
    """Whether an Ogg file's last page says that it is the last: recorders that break off never write that."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_PAGE))
    page = file.read().rpartition(b"OggS")[2]
    return len(page) > 1 and bool(page[1] & _LAST_PAGE)


def _counts_frames(file: FileIO, start: bytes) -> bool:
    """Whether an mp3 says how long it is (Xing's, LAME's or Fraunhofer's tag in the first frame): without, libsndfile
    guesses by the first frame's bit rate. True for other files."""
    skipped = 0
    if start.startswith(b"ID3") and len(start) == 10:
        skipped = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))
    elif not (len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0):
        return True
    file.seek(skipped)
    frame = file.read(2048)
    return any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))
