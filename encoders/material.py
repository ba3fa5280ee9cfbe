"""What encoders are pretrained on, in one file: speech generated with its phonemes, recordings with a teacher's words.

    python -m bench.corpora --to var/corpora asterisk-ru rhvoice-readers kokoro
    python -m encoders.material --corpora var/corpora/asterisk-ru --corpora var/corpora/rhvoice-readers \
        --corpora var/corpora/kokoro --out var/material.npz

Making it takes about as long as training; training is done again more often.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from encoders.frames import UNKNOWN, frames_of
from encoders.generated import SILENCE, generated
from encoders.recordings import Recording, at_speed, recordings, speeds
from encoders.teacher import CODED_LAYERS, Taught, Teacher, codebooks, codes
from speech.audio.decode import SAMPLE_RATE, decode
from speech.text.language import Language, load_language
from speech.text.letters import spelling
from speech.whisper.backend import Transcriber, WhisperOptions
from speech.whisper.loading import load_transcriber

LANGUAGE = "ru"
JUDGES = ("festvox-ru", "festival")  # one man, whose recordings tell whether people are heard
HELD_OUT = ("david", "shelby")  # generated voices that are heard in validation only
RARE = 200  # frames below which a phoneme is not learnt
# Which letter writes a consonant, of whatever language it comes from; vowels are left to the order of the letters.
WRITTEN = {
    "r": "р", "ɾ": "р", "ʁ": "р", "ʀ": "р", "ɡ": "г", "ɣ": "г", "x": "х", "h": "х", "k": "к", "q": "к",
    "t": "т", "d": "д", "p": "п", "b": "б", "f": "ф", "v": "в", "m": "м", "n": "н", "l": "л", "ɭ": "л", "ɫ": "л",
    "s": "с", "z": "з", "ʃ": "ш", "ʒ": "ж", "ts": "ц", "tʃ": "ч", "ɕ": "щ", "j": "й", SILENCE: "",
}  # fmt: skip
SOFT = "ʲ"
SAY_EVERY = 20.0  # seconds
_BY_CLIP = ("sound", "phones", "letters", "order")  # kept one clip after the other, with their lengths
One = TypeVar("One")


@dataclass(frozen=True)
class Clip:
    """One clip. Where nothing is known of a frame stands `UNKNOWN`."""

    sound: np.ndarray
    """(n,) int16 at 16 kHz."""
    phones: np.ndarray
    """(frames,) int16: the phoneme, as a place in the material's names."""
    letters: np.ndarray
    """(frames,) int16: the letter that a consonant is written with, as a place in the alphabet from 1; 0 for none."""
    codes: np.ndarray
    """(coded layers, frames) int16: see `encoders.teacher`."""
    order: np.ndarray
    """(letters,) int16: all letters of its text; empty where it is unknown or not Russian."""
    speaker: str


@dataclass(frozen=True)
class Material:
    """All clips, and the names of the phonemes."""

    clips: list[Clip]
    phones: list[str]

    def split(self) -> tuple[list[Clip], list[Clip]]:
        """Training clips, and those of generated voices that training does not hear."""
        held = [clip for clip in self.clips if clip.speaker in HELD_OUT]
        return [clip for clip in self.clips if clip.speaker not in HELD_OUT], held

    def write(self, path: Path) -> None:
        """Write one file, which appears whole."""
        parts: dict[str, np.ndarray] = {}
        for name in _BY_CLIP:
            values = [getattr(clip, name) for clip in self.clips]
            parts[name] = np.concatenate(values)
            parts[f"{name}_lengths"] = np.array([len(value) for value in values])
        parts["codes"] = np.concatenate([clip.codes for clip in self.clips], axis=1)
        parts["speakers"] = np.array([clip.speaker for clip in self.clips])
        parts["names"] = np.array(self.phones)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, allow_pickle=False, **parts)
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Material:
        """What `write` wrote."""
        with np.load(path) as file:
            parts = {name: file[name] for name in file.files}
        cut = {name: np.split(parts[name], np.cumsum(parts[f"{name}_lengths"])[:-1]) for name in _BY_CLIP}
        books = np.split(parts["codes"], np.cumsum(parts["phones_lengths"])[:-1], axis=1)
        clips = [
            Clip(sound, phones, letters, book, order, str(speaker))
            for sound, phones, letters, order, book, speaker in zip(
                *(cut[name] for name in _BY_CLIP), books, parts["speakers"], strict=True
            )
        ]
        return cls(clips, [str(name) for name in parts["names"]])


def frame_letters(symbols: Sequence[str], alphabet: str) -> list[int]:
    """The letter of each frame, see `Clip.letters`, of the phonemes of `encoders.generated.frame_symbols`."""
    places = {symbol: 1 + alphabet.index(letter) if letter else 0 for symbol, letter in WRITTEN.items()}
    return [places.get(symbol.rstrip(SOFT), UNKNOWN) for symbol in symbols]


def generated_clips(hours: float, seed: int, workers: int, language: Language) -> tuple[list[Clip], list[str]]:
    """Clips that a synthesiser speaks, and the names of their phonemes."""
    spoken = list(_said(generated(hours, seed, workers), "sentences spoken"))
    frames = Counter(symbol for one in spoken for symbol in one.symbols)
    names = [SILENCE, *sorted(name for name, number in frames.items() if number >= RARE and name != SILENCE)]
    index = {name: place for place, name in enumerate(names)}
    clips = []
    for one in spoken:
        phones = np.array([index.get(symbol, UNKNOWN) for symbol in one.symbols], np.int16)
        letters = np.array(frame_letters(one.symbols, language.alphabet), np.int16)
        order = spelling(one.text, language) if one.language == language.code else ()
        clips.append(Clip(one.sound, phones, letters, _unknown_codes(len(phones)), _short(order), one.voice))
    return clips, names


def taught_clips(found: Sequence[Recording], seed: int, workers: int, language: Language) -> list[Clip]:
    """Clips of recordings, with what the teacher hears in them."""
    rng = np.random.default_rng(seed)
    with ProcessPoolExecutor(workers, initializer=_start_teacher, initargs=(language,)) as pool:
        heard = pool.map(_taught, found, speeds(found, rng), chunksize=4)
        several = list(_said(heard, "recordings heard by the teacher"))
    taught = [one for copies in several for one in copies]
    books = codebooks([one.features for _, one, _ in taught], rng)
    speakers = [recording.speaker for recording, copies in zip(found, several, strict=True) for _ in copies]
    clips = []
    for (sound, one, text), speaker in zip(taught, speakers, strict=True):
        phones = np.full(frames_of(len(sound)), UNKNOWN, np.int16)
        order = spelling(text, language) if (one.letters > 0).any() else ()
        clips.append(
            Clip(sound, phones, one.letters.astype(np.int16), codes(one.features, books), _short(order), speaker)
        )
    return clips


_teacher: Teacher
_transcriber: Transcriber


def _start_teacher(language: Language) -> None:
    """In a process of its own, which computes on one core: the others are there for the others."""
    global _teacher, _transcriber
    torch.set_num_threads(1)
    _teacher = Teacher(language)
    _transcriber = load_transcriber(WhisperOptions(language=language.code, threads=1))


def _taught(recording: Recording, wanted: tuple[float, ...]) -> list[tuple[np.ndarray, Taught, str]]:
    """int16 samples (n,), what is heard and the text of a recording at each speed; Whisper writes an unknown text."""
    samples = decode(recording.path).samples
    text = recording.text or _transcriber.transcribe(samples).text
    found = []
    for speed in wanted:
        sound = at_speed(samples, speed)
        found.append(((np.clip(sound, -1, 1) * 32767).astype(np.int16), _teacher.teach(sound, text), text))
    return found


def _short(order: Sequence[int]) -> np.ndarray:
    return np.array(order, np.int16)


def _unknown_codes(frames: int) -> np.ndarray:
    return np.full((len(CODED_LAYERS), frames), UNKNOWN, np.int16)


def _said(items: Iterable[One], what: str) -> Iterator[One]:
    """The items, with a line every `SAY_EVERY` seconds."""
    said = time.monotonic()
    number = 0
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said > SAY_EVERY:
            print(f"{number} {what}", flush=True)
            said = time.monotonic()
    print(f"{number} {what}", flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make what encoders are pretrained on.")
    parser.add_argument("--corpora", type=Path, action="append", default=[], help="a corpus' folder; may be repeated")
    parser.add_argument("--without", action="append", default=list(JUDGES), help="a source that judges")
    parser.add_argument("--hours", type=float, default=7.0, help="hours of generated speech")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    language = load_language(LANGUAGE)
    found = recordings(options.corpora, options.without)
    clips, names = generated_clips(options.hours, options.seed, options.workers, language)
    material = Material([*clips, *taught_clips(found, options.seed, options.workers, language)], names)
    material.write(options.out)
    hours = sum(len(clip.sound) for clip in material.clips) / SAMPLE_RATE / 3600
    print(f"{options.out}: {len(material.clips)} clips, {hours:.1f} hours, {len(names)} phonemes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
