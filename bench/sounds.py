"""How well a score a sound tells a wrong р from a right one, on generated speech of voices that nobody learned from.

    python -m bench.sounds --bundle var/bundles/<id> --clips 200
    python -m bench.sounds --bundle var/bundles/<id> --clip-set var/stages/clips/<key>

Without `--clip-set` the voices are those that `bench.corpus` keeps for its test split, with one those of that set's.
Each р of a sentence is a uvular one or a trill by the toss of a coin, so a clip holds both and neither the voice nor
the clip tells which is which. The text is given, as to a reader. AUC over all sounds, over pairs within one clip alone,
and where whole clips are the one or the other, as training labels them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from sklearn.metrics import roc_auc_score

from bench import corpus
from pipeline.clips.dataset import ClipSet
from pipeline.evaluation.bootstrap import interval, resamples, shown_interval
from samples import phonemes
from samples.make_mini import Speaker, transcribe
from speech.audio.decode import SAMPLE_RATE, decode
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.defects.diagnose import diagnose
from speech.defects.sounds import score_sounds
from speech.synthesis.espeak import Synthesiser
from speech.text.alignment import AlignmentError, align
from speech.text.language import load_language

DEFECT, LETTER = "burr", "р"


@dataclass(frozen=True)
class Scored:
    """A sound: the clip and voice that it is of, whether it was said with the defect, and its score, 0 to 1."""

    clip: int
    voice: str
    wrong: bool
    score: float


def burred(utterance: phonemes.Utterance, by: str, wrong: Iterator[bool]) -> phonemes.Utterance:
    """An utterance of which each trill is spoken as `by` where the next of `wrong` says so."""

    def spoken(token: str) -> str:
        if phonemes.bare(token) not in (phonemes.TRILLED, phonemes.TRILLED + phonemes.PALATAL) or not next(wrong):
            return token
        return by + phonemes.PALATAL if token.endswith(phonemes.PALATAL) else by

    return [[spoken(token) for token in word] for word in utterance]


def heard(bundle: LoadedBundle, samples: np.ndarray, text: str) -> list[float]:
    """The score of each р of a text that is read aloud in samples (n,). Raises `AlignmentError`."""
    (answer,) = diagnose(bundle.model, [samples], bundle.calibration)
    assert answer.spelling is not None
    assert answer.frame_scores is not None
    language = load_language(bundle.config.language).model_copy(update={"alphabet": bundle.config.model.alphabet})
    aligned = align(text, answer.spelling, answer.frame_seconds, language)
    sounds = score_sounds(
        aligned, answer.spelling, answer.frame_scores, answer.frame_seconds, answer.classes,
        bundle.calibration.letters, bundle.calibration.sounds,
    )  # fmt: skip
    return [sound.score for sound in sounds if sound.letter == LETTER]


def cast(clip_set: Path | None, rng: random.Random) -> list[Speaker]:
    """The speakers, of voices that the bundle has not learned from; with a clip set those of its test split."""
    known = corpus.cast("train", rng) + corpus.cast("test", rng)
    if clip_set is None:
        return [speaker for speaker in known if corpus.is_test_voice(speaker.name)]
    heard = {record.speaker for record in ClipSet.load(clip_set).of_split("test")}
    return [speaker for speaker in known if speaker.name in heard]


def measured(bundle: LoadedBundle, clip_set: Path | None, clips: int, seed: int, whole: bool) -> list[Scored]:
    """The sounds of so many clips; where `whole`, all р of a clip are alike."""
    rng = random.Random(seed)
    speakers = cast(clip_set, rng)
    texts = [text for text in corpus.deck("test", rng) if corpus.speakable(text)]
    synthesiser = Synthesiser()
    found: list[Scored] = []
    for number in range(clips):
        speaker, text = speakers[number % len(speakers)], texts[number % len(texts)]
        utterance = transcribe(text)
        count = phonemes.count(utterance, phonemes.TRILLED)
        wrong = [number // len(speakers) % 2 == 0] * count if whole else [rng.random() < 0.5 for _ in range(count)]
        samples = said(synthesiser, speaker, burred(utterance, speaker.burred_r, iter(wrong)), rng)
        try:
            scores = heard(bundle, samples, text)
        except AlignmentError:
            continue
        if len(scores) == count:  # else the spelling does not tell which р is which
            found += [Scored(number, speaker.name, *one) for one in zip(wrong, scores, strict=True)]
    return found


def said(synthesiser: Synthesiser, speaker: Speaker, utterance: phonemes.Utterance, rng: random.Random) -> np.ndarray:
    """An utterance as it reaches an archive, samples (n,) at 16 kHz."""
    spoken = synthesiser.speak(
        phonemes.spell(utterance), f"ru+{speaker.name}", pitch=speaker.pitch, words_a_minute=speaker.rate
    )
    sound = soxr.resample(spoken.samples.astype(np.float32) / 32768, spoken.rate, SAMPLE_RATE)
    return decode(corpus.recorded(sound, rng, np.random.default_rng(rng.getrandbits(32)))).samples


def auc(sounds: Sequence[Scored]) -> dict[str, float | None]:
    """How often a wrong sound is scored lower than a right one, with the interval of a bootstrap over voices."""
    wrong, score = np.array([one.wrong for one in sounds]), np.array([one.score for one in sounds])
    drawn = [
        roc_auc_score(wrong[draw], -score[draw])
        for draw in resamples([one.voice for one in sounds])
        if len(set(wrong[draw])) == 2
    ]
    return interval(float(roc_auc_score(wrong, -score)), np.array(drawn))


def within(sounds: Sequence[Scored]) -> tuple[float, int]:
    """The same over pairs of sounds of one clip alone, and how many pairs there are."""
    pairs = [
        (one.score < other.score) + 0.5 * (one.score == other.score)
        for clip in {one.clip for one in sounds}
        for one in sounds
        for other in sounds
        if one.clip == other.clip == clip and one.wrong and not other.wrong
    ]
    return float(np.mean(pairs)), len(pairs)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="AUC of scores a sound on generated speech of unheard voices.")
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--clip-set", type=Path, help="the folder of the stage clips that the bundle was trained on")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    if DEFECT not in bundle.calibration.sounds:
        print(f"{options.bundle.name} scores no sounds of {DEFECT}")
        return 1
    for title, whole in (("each р by itself", False), ("all р of a clip alike", True)):
        sounds = measured(bundle, options.clip_set, options.clips, options.seed, whole)
        voices = len({one.voice for one in sounds})
        print(f"{title}: {len(sounds)} sounds of {voices} voices, AUC {shown_interval(auc(sounds))}")
        if not whole:
            value, pairs = within(sounds)
            print(f"  within one clip: AUC {value:.3f} of {pairs} pairs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
