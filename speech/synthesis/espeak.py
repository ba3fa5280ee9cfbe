"""espeak-ng as a library: speech with the time of every phoneme, which its command line does not tell."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import espeakng_loader
import numpy as np

# Variants of espeak-ng's voices whose sha1(name) is even; others, and those of `samples/corpus.yaml`, are for judging.
VOICES = (
    "Lee", "Mike", "Nguyen", "RicishayMax3", "Tweaky", "UniRobot", "announcer", "boris", "david", "ed", "grandpa",
    "gustave", "iven2", "kaukovalta", "marcelo", "max", "pedro", "robosoft6", "shelby", "zac",
)  # fmt: skip
# Its names of a language's accents, as often as they are to be drawn; other languages have their own name only.
ACCENTS = {
    "en": (*4 * ("en-us",), *2 * ("en",), "en-us-nyc", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan",
           "en-gb-x-gbcwmd", "en-029")
}  # fmt: skip
# From espeak-ng's speak_lib.h, versions 1.51 and 1.52.
_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEME_IPA, _DO_NOT_EXIT = 2, 1, 2, 1 << 15
_RATE, _PITCH = 1, 3
_UTF8, _POSITION_CHARACTER = 1, 1
_AS_IPA = 2
_END_OF_LIST, _PHONEME = 0, 7


class EspeakError(RuntimeError):
    """The library lacks a voice, or refused a text."""


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


_SPEAKING = threading.Lock()

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@cache
def _loaded() -> tuple[ctypes.CDLL, int]:
    """The library and the rate of its sound in hertz.

    It is initialised once in a process: a second time it frees its phonemes, and the voice chosen last, chosen once
    more, goes on reading them where they were.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(
        _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _PHONEME_EVENTS | _PHONEME_IPA | _DO_NOT_EXIT
    )
    if rate <= 0:
        raise EspeakError("espeak-ng found no voice data")
    return library, rate


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
    """The library espeak-ng.

    It keeps its state in globals. So one utterance is spoken at a time in a process, and the receiver of the sound is
    set anew for each.
    """

    def __init__(self) -> None:
        with _SPEAKING:
            self._library, self.rate = _loaded()
        self._pieces: list[np.ndarray] = []
        self._marks: list[tuple[str, float]] = []
        self._callback: Callable[..., Any] = _Callback(self._receive)  # kept, or it would be collected while in use

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
        with _SPEAKING:
            return self._speak(text, voice, pitch, words_a_minute)

    def ipa(self, text: str, voice: str) -> str:
        """How a voice would say `text`, as IPA with stress marks; clauses are joined by blanks."""
        with _SPEAKING:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise EspeakError(f"espeak-ng has no voice {voice!r}")
            self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
            left = ctypes.c_char_p(text.encode())
            clauses = []
            while left:  # the library moves it clause by clause, to nothing in the end
                clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(left), _UTF8, _AS_IPA).decode())
        return " ".join(clauses)

    def _speak(self, text: str, voice: str, pitch: int, words_a_minute: int) -> Speech:
        library = self._library
        library.espeak_SetSynthCallback(self._callback)
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
