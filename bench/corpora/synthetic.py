"""What synthesisers read for a corpus, and the two that the project already knows: espeak-ng and Festival."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soxr

from bench import corpus, festival
from bench.corpora.clips import Clip, CorpusError, Timed
from bench.corpora.recipe import Item, Recipe, Recorded
from encoders.sentences import DictionaryMissing, readings
from pipeline.progress import Report
from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import VOICES, Phone, Synthesiser

SENTENCES = 20  # a voice
ESPEAK_LICENCE = "GPL-3 (the program; what it speaks is free)"


def sentences(voice: str, count: int = SENTENCES) -> list[str]:
    """As many sentences for a voice, always the same; those that `bench.corpus` judges with are not among them."""
    return corpus.deck("train", random.Random(f"sentences of {voice}"))[:count]


def dictionary_sentences(voice: str, count: int) -> list[str]:
    """As many sentences for a voice, always the same, of words drawn from the dictionary that encoders are pretrained
    on: every sound in every neighbourhood. Raises `CorpusError` where the dictionary is not installed."""
    try:
        return readings("ru", count, random.Random(f"words for {voice}"))
    except DictionaryMissing as error:
        raise CorpusError(str(error)) from error


def clips(source: str, voice: str, licence: str, may_ship: bool, texts: Sequence[str] | None = None) -> list[Clip]:
    """The rows of one voice, which reads `sentences` unless it is given `texts`."""
    return [
        Clip(f"wav/{voice}/{number:03d}.wav", text, f"{source}-{voice}", "ru", source, licence, may_ship)
        for number, text in enumerate(sentences(voice) if texts is None else texts)
    ]


def espeak(store: Path, report: Report) -> list[Item]:
    """The voices that training may hear, plain."""
    synthesiser = Synthesiser()
    return [
        Item(clip, partial(_espeak, synthesiser, clip.text, voice))
        for voice in VOICES
        for clip in clips("espeak-ng", voice, ESPEAK_LICENCE, may_ship=True)
    ]


def _espeak(synthesiser: Synthesiser, text: str, voice: str) -> Recorded:
    said = synthesiser.speak(text, f"ru+{voice}")
    sound = soxr.resample(said.samples.astype(np.float32) / 32768, said.rate, SAMPLE_RATE)
    symbols = {corpus.TRILL: "р", corpus.PLOSIVE: "г"}
    return recorded(sound, said.phones, symbols)


def festival_voice(store: Path, report: Report) -> list[Item]:
    """Festival's recorded voice, which must be installed. Raises `CorpusError`."""
    try:
        festival.check()
    except festival.FestivalError as error:
        raise CorpusError(f"festival or its voice is missing; {festival.INSTALL}") from error
    rows = clips("festival", festival.SPEAKER, "BSD-like", may_ship=True)
    return [Item(clip, partial(_festival, clip.text)) for clip in rows]


def _festival(text: str) -> Recorded:
    said = festival.speak(text)
    return recorded(said.sound, [phone for word in said.words for phone in word], festival.LETTERS)


def recorded(sound: np.ndarray, phones: Sequence[Phone], symbols: dict[str, str]) -> Recorded:
    """A reading with its phones; a letter is there where one of its `symbols` is spoken."""
    timed: list[Timed] = [(p.symbol, round(p.start, 4), round(p.end, 4)) for p in phones if p.symbol]
    letters = tuple((symbols[symbol], start, end) for symbol, start, end in timed if symbol in symbols)
    return Recorded(sound, tuple(timed), letters)


ESPEAK = Recipe("espeak-ng", 0, ESPEAK_LICENCE, "20 synthetic voices that training may hear, with phone times", espeak)
FESTIVAL = Recipe(
    "festival", 0, "BSD-like", "a synthetic voice of recorded units, with phone times; needs festival", festival_voice
)
