"""Measures counting syllables: in the sound (`speech.audio.tempo`), and in what the shipped letters spell.

    python -m bench.tempo --clips 120

Sentences of `bench.corpus` in the voices of the sample archive, which the encoder has never heard (their sha1(name) is
even), at 100 to 220 words a minute, a third of them two sentences with a pause of 0.4 to 1.2 s: clean, in noise 12 to
35 dB below, in a room with such noise, over a telephone line with such noise. A clip's syllables are the vowels of its
text, the time without pauses is the synthesiser's own. Needs espeak-ng.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
import yaml

from pipeline.defects.pretraining import start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from pipeline.training.augmentation import band_limited, noisy, reverberated
from speech.audio.decode import SAMPLE_RATE
from speech.audio.tempo import PAUSE_SECONDS, Tempo, measure
from speech.defects.diagnose import diagnose
from speech.synthesis.espeak import EspeakError, Synthesiser
from speech.text.language import load_language

HERE = Path(__file__).resolve().parent
VOWELS = "аеёиоуыэюя"
KINDS = ("clean", "noise", "room", "telephone")
MARGIN_SECONDS = 0.2
UP, DOWN = 0.3, 0.2  # of a vowel's probability; of the bounds tried the best on other clips of the kind


@dataclass(frozen=True)
class Clip:
    """Sound (n,) at 16 kHz; the syllables in it, and the seconds of speech without and of pauses within."""

    samples: np.ndarray
    kind: str
    syllables: int
    seconds: float
    pauses: float


def spoken(speaker: Synthesiser, voice: str, texts: list[str], rng: random.Random) -> tuple[np.ndarray, float, float]:
    """Sentences one after the other, the seconds of speech, and those of pauses."""
    rate, pitch = rng.randint(100, 220), rng.randint(20, 75)
    parts: list[np.ndarray] = []
    seconds, pauses = 0.0, 0.0
    for text in texts:
        speech = speaker.speak(text, f"ru+{voice}", pitch=pitch, words_a_minute=rate)
        sounding = [phone for phone in speech.phones if phone.symbol]
        first, last = sounding[0].start, sounding[-1].end
        if parts:
            gap = rng.uniform(0.4, 1.2)
            pauses += gap
            parts.append(np.zeros(int(gap * SAMPLE_RATE)))
        sound = soxr.resample(speech.samples.astype(np.float32) / 32768, speech.rate, SAMPLE_RATE)
        parts.append(sound[int(first * SAMPLE_RATE) : int(last * SAMPLE_RATE)])
        own = [p.end - p.start for p in speech.phones if not p.symbol and first < p.start and p.end < last]
        silent = sum(length for length in own if length >= PAUSE_SECONDS)
        seconds, pauses = seconds + last - first - silent, pauses + silent
    return np.concatenate(parts), seconds, pauses


def made(count: int, seed: int) -> list[Clip]:
    """`count` clips, a quarter of each kind. Raises `EspeakError` without espeak-ng."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    parts = yaml.safe_load((HERE / "sentences.yaml").read_text(encoding="utf-8"))
    voices = yaml.safe_load((HERE.parent / "samples" / "corpus.yaml").read_text(encoding="utf-8"))["voices"]
    speaker, margin = Synthesiser(), np.zeros(int(MARGIN_SECONDS * SAMPLE_RATE))
    clips = []
    for number in range(count):
        split = rng.choice(("train", "test"))
        texts = [
            " ".join(rng.choice(parts[split][part]) for part in ("who", "does", "what", "where"))
            for _ in range(1 + (number % 3 == 0))
        ]
        sound, seconds, pauses = spoken(speaker, rng.choice(voices), texts, rng)
        kind = KINDS[number % len(KINDS)]
        sound = np.concatenate([margin, sound, margin])
        if kind == "room":
            sound = reverberated(sound, noise)
        sound = noisy(sound, 45.0 if kind == "clean" else rng.uniform(12.0, 35.0), noise)
        if kind == "telephone":
            sound = band_limited(sound, 300.0, 3400.0)
        sound = (sound / np.max(np.abs(sound)) * 10 ** (rng.uniform(-18.0, -2.0) / 20)).astype(np.float32)
        syllables = sum(letter in VOWELS for text in texts for letter in text.lower())
        clips.append(Clip(sound, kind, syllables, seconds, pauses))
    return clips


def rises(vowels: np.ndarray) -> int:
    """Syllables by how often the probability of a vowel (frames,) rises, as `DefectModel.count` counts letters."""
    return round(float(np.diff(vowels, prepend=0.0).clip(min=0.0).sum()))


def crossings(vowels: np.ndarray) -> int:
    """Syllables by how often it comes above `UP` after it was below `DOWN`."""
    count, inside = 0, False
    for value in vowels.tolist():
        if not inside and value > UP:
            count, inside = count + 1, True
        elif value < DOWN:
            inside = False
    return count


def speller() -> Callable[[np.ndarray], np.ndarray]:
    """What gives the probability of any vowel, frame by frame, of samples: the letters beside the small encoder."""
    language = load_language("ru")
    settings = EncoderSettings(name="encoders/small", pretext=Pretext.letters)
    model = start_model(settings, ("none", "burr"), ("р", "г"), (True, True), alphabet=language.alphabet).eval()
    columns = [1 + language.alphabet.index(letter) for letter in VOWELS]

    def vowels(samples: np.ndarray) -> np.ndarray:
        spelling = diagnose(model, [samples])[0].spelling
        assert spelling is not None
        return np.exp(spelling[:, columns]).sum(1)

    return vowels


def row(name: str, clips: list[Clip], counts: list[float], truth: list[float]) -> str:
    """A line: mean absolute error and bias relative to the truth, then the error by kind."""
    errors = (np.array(counts) - truth) / truth
    kinds = np.array([clip.kind for clip in clips])
    by_kind = "  ".join(f"{kind} {np.abs(errors[kinds == kind]).mean():.3f}" for kind in KINDS)
    return f"{name:32} error {np.abs(errors).mean():.3f}  bias {errors.mean():+.3f}  {by_kind}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure the counting of syllables on generated Russian speech.")
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(0)
    try:
        clips = made(options.clips, options.seed)
    except EspeakError as error:
        print(error, file=sys.stderr)
        return 1
    heard: list[Tempo] = [measure(clip.samples) for clip in clips]
    syllables = [float(clip.syllables) for clip in clips]
    rates = [clip.syllables / clip.seconds for clip in clips]
    print(row("syllables, peaks of intensity", clips, [float(tempo.syllables) for tempo in heard], syllables))
    spell = speller()
    vowels = [spell(clip.samples) for clip in clips]
    print(row("syllables, rises of the vowels", clips, [float(rises(one)) for one in vowels], syllables))
    print(row(f"syllables, vowels above {UP}", clips, [float(crossings(one)) for one in vowels], syllables))
    print(row("speech seconds", clips, [tempo.speech_seconds for tempo in heard], [clip.seconds for clip in clips]))
    print(row("syllables a second", clips, [tempo.syllables_per_second or 0.0 for tempo in heard], rates))
    missed = np.abs([t.pause_share - c.pauses / (c.seconds + c.pauses) for t, c in zip(heard, clips, strict=True)])
    print(f"pause share: mean absolute error {missed.mean():.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
