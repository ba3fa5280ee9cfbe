"""Training clips that a synthesiser says: where few people speak in an archive, these teach how voices differ.

espeak-ng says words of the training texts with voices, accents, pitch and pace drawn anew for each clip, in the
bandwidth of one of the recordings. They stand beside the recordings in the training split and nowhere else: what
chooses weights and what judges them are people.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import soxr

from pipeline.recognition.texts import frames_needed
from pipeline.training.augmentation import VARIED
from pipeline.training.examples import Example
from speech.audio.decode import SAMPLE_RATE
from speech.ctc.folder import Recogniser, RecogniserError
from speech.synthesis.espeak import ACCENTS, VOICES, EspeakError, Synthesiser

_PITCH, _PACE = (10, 90), (100, 220)  # as espeak-ng takes it; words a minute
_MARGIN_SECONDS = 0.3  # of silence, at most, at the end
_BIN_HERTZ, _SILENT_DB = 100, -65.0  # below the loudest bin, where a recording is taken to hold nothing
_SPREAD = 3  # bins over which a Blackman window spreads one frequency, to either side
_HEARD = 64  # recordings whose bandwidth is measured
_synthesiser: Synthesiser | None = None


@dataclass(frozen=True)
class Utterance:
    """What is said and how: `voice` as espeak-ng names it, `hertz` the bandwidth."""

    text: str
    voice: str
    pitch: int
    pace: int
    margin: float
    hertz: float


def generated(
    recogniser: Recogniser, texts: Sequence[str], recordings: Sequence[Example], count: int, seed: int
) -> list[Example]:
    """`count` clips, fewer where a voice says a text faster than the recogniser has frames for.

    `texts` are the training targets: as they are, or where the recogniser knows a closed list of words, as many of
    them at random. The same seed gives the same utterances. Raises `RecogniserError` where espeak-ng does not speak the
    recogniser's language.
    """
    rng = random.Random(seed)
    drawn = rng.sample(list(recordings), min(_HEARD, len(recordings)))
    widths = [bandwidth(recording.load()) for recording in drawn]
    accents = ACCENTS.get(recogniser.language, (recogniser.language,))
    made = []
    for number in range(count):
        text = rng.choice(texts)
        if recogniser.words:
            text = " ".join(rng.choice(recogniser.words) for _ in text.split())
        utterance = Utterance(
            text,
            f"{rng.choice(accents)}+{rng.choice(VOICES)}",
            pitch=rng.randint(*_PITCH),
            pace=rng.randint(*_PACE),
            margin=rng.uniform(0.0, _MARGIN_SECONDS),
            hertz=rng.choice(widths),
        )
        try:
            seconds = len(said(utterance)) / SAMPLE_RATE
        except EspeakError as error:
            raise RecogniserError(f"generated: {error}; set it to 0 for a language that espeak-ng lacks") from error
        ids = recogniser.ids_of(text)
        if frames_needed(ids) < seconds / VARIED.speeds[1] / recogniser.frame_seconds:
            made.append(Example(f"generated {number}", partial(said, utterance), seconds, letters=tuple(ids)))
    return made


def said(utterance: Utterance) -> np.ndarray:
    """Mono float32 samples (n,) at 16 kHz.

    espeak-ng draws noise and flutter anew: an utterance never sounds twice the same, and its length varies by a few
    samples.
    """
    global _synthesiser
    _synthesiser = _synthesiser or Synthesiser()
    speech = _synthesiser.speak(utterance.text, utterance.voice, pitch=utterance.pitch, words_a_minute=utterance.pace)
    sound = soxr.resample(speech.samples.astype(np.float32) / 32768, speech.rate, SAMPLE_RATE)
    sound = np.pad(sound, (0, int(utterance.margin * SAMPLE_RATE)))
    if utterance.hertz < SAMPLE_RATE / 2:
        there = soxr.resample(sound, SAMPLE_RATE, 2 * utterance.hertz)
        sound = soxr.resample(there, 2 * utterance.hertz, SAMPLE_RATE)
    return sound.astype(np.float32)


def bandwidth(samples: np.ndarray) -> float:
    """Up to which frequency in hertz mono float32 samples (n,) at 16 kHz hold anything: 4,000 for a telephone's."""
    window = SAMPLE_RATE // _BIN_HERTZ
    if len(samples) < window:
        return SAMPLE_RATE / 2
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[:: window // 2] * np.blackman(window)
    power = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
    heard = np.flatnonzero(power > power.max() * 10 ** (_SILENT_DB / 10))
    if not len(heard) or heard[-1] == len(power) - 1:
        return SAMPLE_RATE / 2
    return float(max(1, heard[-1] + 1 - _SPREAD) * _BIN_HERTZ)
