"""A file of any length as blocks of samples, so that it is never in memory as a whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO

import numpy as np
import soundfile

from speech.audio.decode import CONTAINERS, AudioError, AudioLimits, require_shape

BLOCK_SECONDS = 1.0
_SLACK_SECONDS = 0.5  # an encoder's padding: a file that lacks no more is whole
_MOST_FRAMES = 1 << 56  # libsndfile's word for not knowing is greater
_STREAMED_BYTES = 0x7FFFE000  # a wav header written before the end was known claims this much or more
_LONGEST_PAGE = 65_307  # bytes of an Ogg page
_LAST_PAGE = 0x04  # its flag
_LONGEST_FRAME = 2048  # bytes of an mp3's first frame, in which a tag stands
_COUNTED = 0x01  # a tag's flag: it counts frames
_SAMPLES_A_FRAME, _FULL_RATE = 1152, 32_000  # lower rates have half as many (MPEG-2, 13818-3)


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
    `cut_short` says whether sound is missing: the file announces more, lacks its end, or is damaged.
    Raises `AudioError` `not_audio`, `bad_sample_rate` or `too_many_channels`, and `empty` where there is no sound.
    """

    def __init__(self, file: FileIO, limits: AudioLimits) -> None:
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


def _by_libsndfile(file: FileIO, limits: AudioLimits) -> _Source:
    unfinished = file.read(4) == b"OggS" and not _has_last_page(file)
    file.seek(0)
    # By its number: a name that ends in .raw would be taken for samples without a header.
    sound = soundfile.SoundFile(os.dup(file.fileno()), closefd=True)
    if sound.format == "MP3":
        # It ends an mp3 where a tag or, without one, the first frame's bit rate says, however much follows.
        sound.close()
        raise _BrokenError
    require_shape(sound.samplerate, sound.channels, limits)
    seconds = None if sound.frames > _MOST_FRAMES else sound.frames / sound.samplerate
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


def _by_ffmpeg(file: FileIO, limits: AudioLimits) -> _Source:
    """mp3, and what libsndfile does not read (m4a, webm), through FFmpeg's libraries. It gets no name to follow."""
    import av

    try:
        container = av.open(file, mode="r", options={"format_whitelist": CONTAINERS})
        if not container.streams.audio:
            raise AudioError("not_audio", "the file holds no sound track")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError("not_audio", "the sound track is in a format that cannot be decoded")
        rate, channels = stream.rate, stream.channels
        require_shape(rate, channels, limits)
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        if seconds is None and container.duration and len(container.streams) == 1:
            seconds = container.duration / av.time_base
        if container.format.name == "mp3":
            seconds = _tagged_seconds(file, rate)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError("not_audio", "the file is no sound recording that can be decoded") from error

    def blocks() -> Iterator[np.ndarray]:
        resampler = av.AudioResampler(format="fltp", rate=rate)
        parts: list[np.ndarray] = []
        damaged, sounds = False, False
        try:
            with container:
                for packet in container.demux(stream):
                    try:
                        frames = packet.decode()
                    except av.error.InvalidDataError:
                        damaged = True
                        lost = int((packet.duration or 0) * (packet.time_base or 0) * rate)
                        parts.append(np.zeros((lost, channels), np.float32))  # what follows keeps its time
                        continue
                    sounds = sounds or bool(frames)
                    parts += [piece.to_ndarray().T for frame in frames for piece in resampler.resample(frame)]
                    if any(part.shape[1] != channels for part in parts):
                        raise AudioError("not_audio", "the number of channels changes midway; export the file again")
                    if sounds and sum(map(len, parts)) >= BLOCK_SECONDS * rate:
                        yield np.concatenate(parts)
                        parts = []
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, AudioError):
                raise
            damaged = True
        if parts and sounds:
            yield np.concatenate(parts)
        if damaged:
            raise _BrokenError

    return _Source(rate, channels, seconds, blocks())


def _has_last_page(file: FileIO) -> bool:
    """Whether an Ogg file's last page says that it is the last: recorders that break off never write that."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_PAGE))
    page = file.read().rpartition(b"OggS")[2]
    return len(page) > 1 and bool(page[1] & _LAST_PAGE)


def _tagged_seconds(file: FileIO, rate: int) -> float | None:
    """How long an mp3 of so many hertz says it is, by the frames that Xing's, LAME's or Fraunhofer's tag counts; None
    without such a tag: its length is then known when it is decoded."""
    at = file.tell()
    file.seek(0)
    start, skipped = file.read(10), 0
    if start.startswith(b"ID3") and len(start) == 10:
        skipped = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=True))
    file.seek(skipped)
    frame = file.read(_LONGEST_FRAME)
    file.seek(at)
    count = None
    for tag, place in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        where = frame.find(tag)
        if where >= 0 and len(frame) >= where + place + 4 and (tag == b"VBRI" or frame[where + 7] & _COUNTED):
            count = int.from_bytes(frame[where + place : where + place + 4], "big")
    return count * (_SAMPLES_A_FRAME if rate >= _FULL_RATE else _SAMPLES_A_FRAME // 2) / rate if count else None
