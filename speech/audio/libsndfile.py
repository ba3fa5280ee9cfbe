"""wav, flac, ogg, aiff and the like through libsndfile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from io import FileIO
from typing import IO

import soundfile

from speech.audio.limits import AudioLimits, require_shape
from speech.audio.pieces import BLOCK_SECONDS, NotReadable, Piece, Source

_MOST_FRAMES = 1 << 56  # libsndfile's word for not knowing is greater
_STREAMED_BYTES = 0x7FFFE000  # a wav header written before the end was known claims this much or more
_FLOATS = ("FLOAT", "DOUBLE")


def read(file: IO[bytes], limits: AudioLimits, mp3: bool = False) -> Source:
    """The recording in an open file. An `mp3` is read only where that is asked for: libsndfile ends it where a tag or,
    without one, the first frame's bit rate says, however much follows.

    Raises `NotReadable`, or `AudioError` where `limits` refuse its rate or channels. The pieces raise `NotReadable`
    where libsndfile gives up, though more may follow.
    """
    file.seek(0)
    try:
        # By its number: a name that ends in .raw would be taken for samples without a header.
        by_number = isinstance(file, FileIO)
        sound = soundfile.SoundFile(os.dup(file.fileno()) if by_number else file, closefd=by_number)
    except (soundfile.LibsndfileError, ValueError, RuntimeError) as error:
        raise NotReadable from error
    if (sound.format == "MP3") != mp3:
        sound.close()
        raise NotReadable
    require_shape(sound.samplerate, sound.channels, limits)
    floats = sound.subtype in _FLOATS
    codec = f"{sound.format}/{sound.subtype}".lower()
    return Source(sound.samplerate, sound.channels, _announced(sound), _pieces(sound), floats=floats, codec=codec)


def _announced(sound: soundfile.SoundFile) -> float | None:
    seconds = None if sound.frames > _MOST_FRAMES else sound.frames / sound.samplerate
    claimed = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if claimed and seconds and int(claimed[1]) < _STREAMED_BYTES and int(claimed[2]):
        seconds *= int(claimed[1]) / int(claimed[2])  # libsndfile itself goes by what is there
    return seconds


def _pieces(sound: soundfile.SoundFile) -> Iterator[Piece]:
    with sound:
        try:
            while len(block := sound.read(int(BLOCK_SECONDS * sound.samplerate), "float32", always_2d=True)):
                yield Piece(sound.samplerate, block)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise NotReadable from error
