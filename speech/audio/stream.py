"""A file of any length as pieces of samples, so that it is never in memory as a whole.

This is the one way from bytes to samples. A file may be several recordings joined; each is read by libsndfile and,
where that gives up or finds nothing, by FFmpeg from there on. What does not decode is left out, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import IO

import numpy as np
import soxr

from speech.audio import ffmpeg, libsndfile
from speech.audio.channels import mixed
from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS, AudioError, AudioLimits
from speech.audio.pieces import BLOCK_SECONDS, Losses, NotReadable, Piece, Source, float_scale
from speech.audio.sections import Section, sections
from speech.audio.vad import LEAST_SECONDS, speech_seconds

_PROBED_SECONDS = 300.0  # of each of several tracks
_HEARD_PEAK = 10 ** (SILENCE_DBFS / 20)
_SLACK_SECONDS = 0.5  # an encoder's padding: a file that lacks no more is whole


class Blocks:
    """The sound of an open file, which is not buffered: iterate, once, over its pieces, a second each or little more.

    `rate`, `channels` and `codec` (container and codec) are those of the first piece. `announced_seconds` is how long
    the file says it is, None where it does not say or only guesses. Once exhausted, `cut_short` says whether sound is
    missing at the end, because the file announces more or breaks off; `damaged`, whether something before that did not
    decode.
    Raises `AudioError` `not_audio`, `bad_sample_rate` or `too_many_channels`, and `empty` where there is no sound.
    """

    def __init__(self, file: IO[bytes], limits: AudioLimits) -> None:
        self.cut_short = self.damaged = False
        self.announced_seconds: float | None = None
        self.codec = ""
        self._file, self._limits = file, limits
        found = sections(file)
        self._joined = len(found) > 1
        self._pieces = self._read(found)
        self._first = next(self._pieces)
        self.rate, self.channels = self._first.rate, self._first.channels

    def __iter__(self) -> Iterator[Piece]:
        yield self._first
        yield from self._pieces

    def _read(self, found: list[Section]) -> Iterator[Piece]:
        """Raises `AudioError` where there is no sound in any section."""
        fault: AudioError | None = None
        heard = False
        for number, section in enumerate(found):
            begun = False
            try:
                for piece in self._section(section.opened(self._file), section):
                    heard = begun = True
                    yield replace(piece, section=number)
            except AudioError as error:
                if error.code not in ("not_audio", "empty") or begun:
                    raise
                fault = fault or error
        if not heard:
            raise fault or AudioError("empty", "the file holds no sound")
        self.damaged = self.damaged or fault is not None

    def _section(self, file: IO[bytes], section: Section) -> Iterator[Piece]:
        """One recording: libsndfile's sound, and where it gives up or finds nothing, FFmpeg's from there on."""
        seconds = 0.0
        plain = _by_libsndfile(file, self._limits)
        if plain is not None:
            self._announce(plain)
            with suppress(NotReadable):
                for piece in plain.pieces:
                    seconds += piece.seconds
                    yield piece
                if seconds:
                    self._tell(section, plain, seconds)
                    return
        before = seconds
        try:
            source = _by_ffmpeg(file, self._limits)
        except AudioError as error:
            if plain is None or error.code not in ("not_audio", "empty"):
                raise
            source = replace(plain, pieces=iter(()), losses=Losses(cut_short=before > 0))
            if not before:
                yield Piece(plain.rate, np.empty((0, plain.channels), np.float32))  # a header that nothing follows
        self._announce(source)
        try:
            for piece in _after(before, source.pieces):
                seconds += piece.seconds
                yield piece
        except NotReadable:
            source.losses.cut_short = True
        # FFmpeg may step over what is damaged without a word.
        source.losses.damaged |= not source.losses.cut_short and before > 0 and seconds > before + BLOCK_SECONDS
        self._tell(section, source, seconds)

    def _announce(self, source: Source) -> None:
        self.codec = self.codec or source.codec
        if not self._joined:
            self.announced_seconds = source.announced_seconds

    def _tell(self, section: Section, source: Source, seconds: float) -> None:
        """Say what is lost of a section of which so many seconds were heard."""
        damaged = section.damaged or source.losses.damaged
        lacks = (source.announced_seconds or 0.0) - seconds > _SLACK_SECONDS
        ends_early = lacks and (source.keeps_time or not damaged)  # else the damage may be what it lacks
        self.damaged = self.damaged or damaged
        self.cut_short = self.cut_short or section.cut_short or source.losses.cut_short or ends_early


def _by_libsndfile(file: IO[bytes], limits: AudioLimits) -> Source | None:
    try:
        return _in_scale(partial(libsndfile.read, file, limits))
    except NotReadable:
        return None


def _by_ffmpeg(file: IO[bytes], limits: AudioLimits) -> Source:
    """The sound that FFmpeg finds, or libsndfile in an mp3 where FFmpeg finds none. Raises `AudioError`."""
    try:
        return _begun(_in_scale(partial(ffmpeg.read, file, limits, _track(file, limits))))
    except AudioError as error:
        if error.code not in ("not_audio", "empty"):
            raise
        try:
            return _begun(libsndfile.read(file, limits, mp3=True))
        except NotReadable:
            raise error from None


def _track(file: IO[bytes], limits: AudioLimits) -> int:
    """The first sound track in which somebody speaks, else the first that is heard; that which the file marks as the
    default comes first. Raises `AudioError`."""
    numbers = ffmpeg.tracks(file)
    if len(numbers) == 1:
        return numbers[0]
    sounding = []
    for number in numbers:
        with suppress(AudioError):  # one that cannot be used is none to choose
            sound = _beginning(ffmpeg.read(file, limits, number))
            if speech_seconds(sound) >= LEAST_SECONDS:
                return number
            if np.abs(sound).max(initial=0.0) > _HEARD_PEAK:
                sounding.append(number)
    return (sounding or numbers)[0]


def _beginning(source: Source) -> np.ndarray:
    """The first `_PROBED_SECONDS` of a source, mono, 16 kHz."""
    parts, seconds = [], 0.0
    for piece in source.pieces:
        mono = mixed(piece.samples, piece.rate)
        parts.append(mono if piece.rate == SAMPLE_RATE else soxr.resample(mono, piece.rate, SAMPLE_RATE))
        seconds += piece.seconds
        if seconds >= _PROBED_SECONDS:
            break
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _begun(source: Source) -> Source:
    """A source that has a first piece. Raises `AudioError` `empty`."""
    first = next(source.pieces, None)
    if first is None:
        raise AudioError("empty", "the file holds no sound")
    return replace(source, pieces=chain([first], source.pieces))


def _in_scale(read: Callable[[], Source]) -> Source:
    """What `read` gives. Floats beyond full scale are brought within it, for which they are read twice."""
    source = read()
    if not source.floats:
        return source
    peak = 0.0
    with suppress(NotReadable):
        for piece in source.pieces:
            peak = max(peak, float(np.abs(piece.samples).max()))
    source, scale = read(), np.float32(float_scale(peak))
    if scale == 1.0:
        return source
    return replace(source, pieces=(replace(piece, samples=piece.samples * scale) for piece in source.pieces))


def _after(seconds: float, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The pieces without so many seconds of their beginning."""
    for piece in pieces:
        skipped = min(len(piece.samples), round(seconds * piece.rate))
        seconds -= skipped / piece.rate
        if skipped < len(piece.samples):
            yield replace(piece, samples=piece.samples[skipped:])
