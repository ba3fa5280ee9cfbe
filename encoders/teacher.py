"""The teacher: Whisper base's encoder, which heard 680,000 hours of people, and the letters that lie beside it.

Of a recording it gives two things, frame by frame of the small encoder. Codes: which of 256 clusters its features fall
into, in a middle and in the last layer (as in HuBERT, 2106.07447; codes were better to learn than features in
2507.02911). Letters: where a text is known, its letters are laid over what the teacher spells (CTC's most probable
path), so that a letter is only told where it is written; a consonant's frames are those in which the teacher hears it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

from encoders.frames import UNKNOWN, frames_of
from pipeline.defects.pretraining import WHISPER_BASE, start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from speech.defects.model import collate
from speech.text.alignment import AlignmentError, PlacedLetter, align
from speech.text.language import Language

CODED_LAYERS = (3, 6)  # of the teacher's 0 (its input) to 6
CODES = 256
LEAST_HEARD = 0.1  # of a letter's probability, below which its frame is left out
SURELY_NONE = 0.8  # probability of no letter, from which a frame teaches that there is none
LEAST_ALIGNED = -2.5  # mean log probability of the letters where they are laid; below it the text is another one
LONGEST_LETTER = 8  # frames
VOWELS = "аеёиоуыэюяьъ"


@dataclass(frozen=True)
class Taught:
    """`features` (layers, frames, size) float16 of the coded layers; `letters` (frames,): see `encoders.material`."""

    features: np.ndarray
    letters: np.ndarray


class Teacher:
    """Whisper base's encoder with its marker head."""

    def __init__(self, language: Language) -> None:
        settings = EncoderSettings(name=WHISPER_BASE, pretext=Pretext.letters)
        self._model = start_model(settings, ("none",), ("р", "г"), (True,), alphabet=language.alphabet).eval()
        self._language = language

    @torch.inference_mode()
    def teach(self, samples: np.ndarray, text: str) -> Taught:
        """What is heard in float32 samples (n,) at 16 kHz; without a `text` no letters are told."""
        encoded = self._model.encode(*collate([samples], self._model.spec.normalise))
        spelling = self._model.marker_head(encoded)[1]
        assert spelling is not None
        features = encoded.hidden[list(CODED_LAYERS), 0].half().numpy()
        letters = self._letters(text, spelling[0].float().numpy())
        return Taught(on_frames(features, len(samples), axis=1), on_frames(letters, len(samples)))

    def _letters(self, text: str, spelling: np.ndarray) -> np.ndarray:
        try:
            placed = align(text, spelling, self._model.frame_seconds, self._language).letters
        except AlignmentError:
            placed = []
        if not placed or np.mean([spelling[one.frame, one.column] for one in placed]) < LEAST_ALIGNED:
            return np.full(len(spelling), UNKNOWN, np.int64)
        return consonants(placed, spelling, self._language)


def consonants(placed: Sequence[PlacedLetter], spelling: np.ndarray, language: Language) -> np.ndarray:
    """The letter of each frame (frames,) as a place in the alphabet from 1, 0 for none, `UNKNOWN` where it is not sure,
    of letters laid over a `spelling` (frames, 1 + alphabet) in log probabilities."""
    labels = np.full(len(spelling), UNKNOWN, np.int64)
    labels[np.exp(spelling[:, 0]) > SURELY_NONE] = 0
    ends = [*(one.frame for one in placed[1:]), len(spelling)]
    for one, end in zip(placed, ends, strict=True):
        letter = language.alphabet[one.column - 1]
        if letter in VOWELS:
            continue
        silent = letter in language.letters and one.marker is None  # the г of -ого, which is a [v]
        for frame in range(one.frame, min(end, one.frame + LONGEST_LETTER)):
            if spelling[frame, one.column] < np.log(LEAST_HEARD):
                break
            labels[frame] = UNKNOWN if silent else one.column
    return labels


def on_frames(values: np.ndarray, samples: int, axis: int = 0) -> np.ndarray:
    """The teacher's frames as the small encoder's: those a frame later, whose middles are 9 ms before."""
    frames = frames_of(samples)
    places = np.minimum(np.arange(frames) + 1, values.shape[axis] - 1)
    return np.take(values, places, axis=axis)


def codebooks(features: list[np.ndarray], rng: np.random.Generator, most: int = 150_000) -> list[np.ndarray]:
    """The clusters' centres (codes, size) of each coded layer, from at most so many frames."""
    total = sum(one.shape[1] for one in features)
    share = min(1.0, most / total)
    drawn = [one[:, rng.random(one.shape[1]) < share] for one in features]
    frames = np.concatenate(drawn, axis=1).astype(np.float32)
    seed = int(rng.integers(2**31))
    return [
        MiniBatchKMeans(CODES, random_state=seed, batch_size=4096, n_init=1).fit(layer).cluster_centers_
        for layer in frames
    ]


def codes(features: np.ndarray, books: list[np.ndarray]) -> np.ndarray:
    """The nearest centre of each frame, (layers, frames)."""
    nearest = []
    for layer, book in zip(features.astype(np.float32), books, strict=True):
        nearest.append((np.square(book).sum(1) - 2 * layer @ book.T).argmin(1))
    return np.stack(nearest).astype(np.int16)
