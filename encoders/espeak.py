"""espeak-ng as a library: speech with the time of every phoneme, which its command line does not tell."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# From espeak-ng's speak_lib.h, version 1.51.
_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEME_IPA, _DO_NOT_EXIT = 2, 1, 2, 1 << 15
_RATE, _PITCH = 1, 3
_UTF8, _POSITION_CHARACTER = 1, 1
_END_OF_LIST, _PHONEME = 0, 7


class EspeakError(RuntimeError):
    """The library is missing, lacks a voice, or refused a text."""


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Phone:
    """One spoken phoneme: its IPA symbol (empty for silence) and its time in seconds."""

    symbol: str
    start: float
    end: float


@dataclass
class Speech:
    """Samples (n,) int16 at `rate` hertz, and the phonemes in them, in order."""

    samples: np.ndarray
    rate: int
    phones: list[Phone] = field(default_factory=list)


class Synthesiser:
    """The library; one per process, for it keeps its state in globals."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise EspeakError("libespeak-ng is not installed; on Debian and Ubuntu: apt-get install espeak-ng")
        self._library = ctypes.CDLL(name)
        self.rate = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _PHONEME_IPA | _DO_NOT_EXIT
        )
        if self.rate <= 0:
            raise EspeakError("espeak-ng found no voice data")
        self._pieces: list[np.ndarray] = []
        self._marks: list[tuple[str, float]] = []
        self._callback: Callable[..., Any] = _Callback(self._receive)  # kept, or it would be collected while in use
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while events[index].type != _END_OF_LIST:
            if events[index].type == _PHONEME:
                symbol = events[index].id.string.decode("utf-8", errors="ignore")
                self._marks.append((symbol, events[index].audio_position / 1000))
            index += 1
        return 0

    def speak(self, text: str, voice: str, *, pitch: int = 50, words_a_minute: int = 150) -> Speech:
        """Say `text` (phonemes in double brackets are understood) with a voice such as `ru+adam`."""
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"espeak-ng has no voice {voice!r}")
        library.espeak_SetParameter(_RATE, words_a_minute, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        self._pieces, self._marks = [], []
        data = text.encode() + b"\0"
        if library.espeak_Synth(data, len(data), 0, _POSITION_CHARACTER, 0, _UTF8 | 0x100, None, None) != 0:
            raise EspeakError(f"espeak-ng did not speak {text!r}")
        if not self._pieces:
            raise EspeakError(f"espeak-ng made no sound of {text!r}")
        sound = np.concatenate(self._pieces)
        ends = [start for _, start in self._marks[1:]] + [len(sound) / self.rate]
        phones = [Phone(symbol, start, end) for (symbol, start), end in zip(self._marks, ends, strict=True)]
        return Speech(sound, self.rate, phones)
