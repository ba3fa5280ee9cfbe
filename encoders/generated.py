"""Speech generated to learn from: words of dictionaries in six languages, spoken by espeak-ng, with phonemes' times.

No defect is said, and no phoneme is put in another's place. Only voices whose sha1(name) is even speak, and none of
those in `samples/corpus.yaml`: the voices of the sample archive are as new to the encoder as those of a user. It needs
the hunspell dictionaries of Debian.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import yaml

from encoders.frames import frames_between, frames_of
from encoders.sentences import sentences
from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import VOICES, Speech, Synthesiser

ROOT = Path(__file__).resolve().parent.parent
SILENCE = "_"
SENTENCES_AN_HOUR = 1000
MARKS = str.maketrans("", "", "ːˑˈˌ.'̪")


@dataclass(frozen=True)
class Spoken:
    """A sentence: int16 samples (n,) at 16 kHz, and for each frame of the encoder the IPA symbol that sounds there."""

    language: str
    text: str
    voice: str
    sound: np.ndarray
    symbols: list[str]


def frame_symbols(speech: Speech, speed: float, frames: int) -> list[str]:
    """The IPA symbol of the phoneme in the middle of each frame, of whatever language."""
    symbols = [SILENCE] * frames
    before = ""
    for phone in speech.phones:
        symbol = phone.symbol.translate(MARKS)
        if symbol == "ʲ":  # softness, which espeak-ng tells as a phoneme of its own
            symbol = before
        before = symbol
        for frame in frames_between(phone.start / speed, phone.end / speed, frames):
            symbols[frame] = symbol or SILENCE
    return symbols


_synthesiser: Synthesiser | None = None


def synthesise(task: tuple[str, str, str, int]) -> tuple[np.ndarray, list[str]]:
    """Sound at 16 kHz and frame symbols of (language, text, voice, seed)."""
    global _synthesiser
    _synthesiser = _synthesiser or Synthesiser()
    language, text, voice, seed = task
    rng = random.Random(seed)
    speech = _synthesiser.speak(
        text, f"{language}+{voice}", pitch=rng.randint(15, 80), words_a_minute=rng.randint(110, 200)
    )
    speed = rng.uniform(0.87, 1.15) if rng.random() < 0.5 else 1.0  # other tempo, pitch and vocal tract at once
    sound = soxr.resample(speech.samples.astype(np.float32) / 32768, speech.rate * speed, SAMPLE_RATE)
    margin = np.zeros(int(rng.uniform(0.0, 0.3) * SAMPLE_RATE), np.float32)
    sound = np.concatenate([sound, margin])
    symbols = frame_symbols(speech, speed, frames_of(len(sound)))
    return (sound * 32767 / max(1.0, np.max(np.abs(sound)))).astype(np.int16), symbols


def generated(hours: float, seed: int, workers: int) -> Iterator[Spoken]:
    """About so many hours of sentences, always the same for a seed."""
    _check_voices()
    rng = random.Random(seed)
    count = int(hours * SENTENCES_AN_HOUR)
    tasks = [(language, text, rng.choice(VOICES), rng.getrandbits(32)) for language, text in sentences(count, rng)]
    with ProcessPoolExecutor(workers) as pool:
        for (language, text, voice, _), (sound, symbols) in zip(
            tasks, pool.map(synthesise, tasks, chunksize=32), strict=True
        ):
            yield Spoken(language, text, voice, sound, symbols)


def _check_voices() -> None:
    kept = set(yaml.safe_load((ROOT / "samples" / "corpus.yaml").read_text(encoding="utf-8"))["voices"])
    for name in VOICES:
        if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 or name in kept:
            raise ValueError(f"voice {name!r} is kept for judging")
