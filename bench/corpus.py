"""A corpus of generated Russian speech to measure models with: larger and harder than `samples/mini.zip`.

    python -m bench.corpus --out var/bench/corpus.zip --train 600 --test 240

Voices and sentences of the test split occur in no other split, and the shipped encoder has heard none of the voices.
Noise, rooms, telephone lines and mp3 at 32 kbit/s are drawn alike for every class. Beside the archive stands
`<name>.places.json`: when each defect and each marker letter sounds, which the archive itself does not tell.

Group "espeak" is the corpus; group "festival", of the test split alone, is speech of another kind to see how far what
was learnt carries: recorded units of one man, fluent and with cut-in stutter. Each of its sentences comes in both
classes and nowhere in training, so neither the voice nor the source tells a class. It serves no pretraining either: the
voice would not be unheard then.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import hashlib
import io
import json
import random
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import yaml

from bench import cutting, festival
from pipeline.training.augmentation import MP3_DELAY, band_limited, noisy, reverberated
from samples import phonemes, recording
from samples.make_mini import LABELS, UVULAR_SECONDS, ZIP_TIME, Speaker, transcribe
from speech.audio.decode import SAMPLE_RATE
from speech.synthesis.espeak import EspeakError, Phone, Speech, Synthesiser

HERE = Path(__file__).resolve().parent
BIT_RATE = 32_000
EXTRA_SECONDS = (0.9, 1.8)  # added to every clip: stutter as heard in the clinic, not once in a clip in passing
PAUSE_SHARE = (0.2, 0.5)  # of the extra seconds, as pauses between words
UVULAR, FRICATIVE, TRILL, PLOSIVE = ("ʁ", "ʀ"), ("ɣ",), "r", "ɡ"


@dataclass(frozen=True)
class Plan:
    """One clip to be made; `seed` decides all that is drawn for it."""

    file: str
    label: str
    split: str
    speaker: Speaker
    text: str
    seed: int
    group: str = "espeak"


def is_test_voice(name: str) -> bool:
    """A third of the sample archive's voices, by their hash, speaks the test split."""
    return (int(hashlib.sha1(name.encode()).hexdigest(), 16) // 2) % 4 == 0


def cast(split: str, rng: random.Random) -> list[Speaker]:
    """The speakers of a split, with their habits."""
    names = yaml.safe_load((HERE.parent / "samples" / "corpus.yaml").read_text(encoding="utf-8"))["voices"]
    chosen = [name for name in names if is_test_voice(name) == (split == "test")]
    uvular = (phonemes.UVULAR_FRICATIVE, phonemes.UVULAR_TRILL)
    return [Speaker(name, rng.randint(25, 65), rng.randint(120, 175), uvular[i % 2]) for i, name in enumerate(chosen)]


def deck(split: str, rng: random.Random) -> list[str]:
    """Every sentence of a split in which both [r] and [g] are spoken, shuffled."""
    parts = yaml.safe_load((HERE / "sentences.yaml").read_text(encoding="utf-8"))[split]
    drawn = {" ".join(rng.choice(parts[kind]) for kind in ("who", "does", "what", "where")) for _ in range(900)}
    texts = sorted(drawn)
    rng.shuffle(texts)
    return texts


def speakable(text: str) -> bool:
    """Whether both a trill and a plosive g are spoken in `text`: else a class could not be made of it."""
    spoken = transcribe(text)
    return phonemes.count(spoken, phonemes.TRILLED) > 0 and phonemes.count(spoken, phonemes.PLOSIVE_G) > 0


def plan(train: int, test: int, seed: int) -> list[Plan]:
    """All clips. In each split every speaker and, nearly, every sentence comes in every class."""
    rng = random.Random(seed)
    plans: list[Plan] = []
    for split, count in (("train", train), ("test", test)):
        speakers, texts = cast(split, rng), deck(split, rng)
        chosen: list[str] = []
        while len(chosen) < max(1, count // len(LABELS)):
            text = texts.pop()
            if speakable(text):
                chosen.append(text)
        for index in range(count):
            turn, label = divmod(index, len(LABELS))
            speaker = speakers[(turn + index) % len(speakers)]
            text = chosen[(turn + 7 * label) % len(chosen)]
            plans.append(Plan("", LABELS[label], split, speaker, text, rng.getrandbits(32)))
    rng.shuffle(plans)
    return [replace(item, file=f"clip_{number:04d}.mp3") for number, item in enumerate(plans, start=1)]


def festival_plan(count: int, first: int, seed: int) -> list[Plan]:
    """`count` test clips in the recorded voice, numbered from `first`: every sentence fluent and stuttered, and the two
    alike in all that the seed draws. Raises `ValueError` for an odd count."""
    if count % 2:
        raise ValueError(f"--festival {count}: every sentence comes in two classes; give an even number")
    rng = random.Random(f"festival {seed}")
    speaker = Speaker(festival.SPEAKER, 0, 0, "")
    texts = deck("test", rng)[: count // 2]
    if 2 * len(texts) < count:
        raise ValueError(f"--festival {count}: sentences.yaml gives {2 * len(texts)} clips at most")
    pairs = [(text, rng.getrandbits(32)) for text in texts]
    drawn = [("none", *pair) for pair in pairs] + [("stutter", *pair) for pair in pairs]
    rng.shuffle(drawn)
    return [
        Plan(f"clip_{number:04d}.mp3", label, "test", speaker, text, pair_seed, "festival")
        for number, (label, text, pair_seed) in enumerate(drawn, start=first)
    ]


def spoken(item: Plan, rng: random.Random) -> tuple[phonemes.Utterance, phonemes.Utterance, float]:
    """The phonemes of a clip, the same without disfluencies, and by which factor its rate changes.

    Every clip gets extra time: one to three disfluencies in stutter, slower speech elsewhere, pauses in all.
    """
    plain = transcribe(item.text)
    extra = rng.uniform(*EXTRA_SECONDS)
    pauses = extra * rng.uniform(*PAUSE_SHARE)
    rest = extra - pauses
    if item.label == "stutter":
        state = rng.getstate()
        disfluent = phonemes.stuttered(plain, rest, rng, times=rng.randint(1, 3))
        after = rng.getrandbits(32)
        rng.setstate(state)
        return (
            phonemes.with_pauses(disfluent, pauses, random.Random(after)),
            phonemes.with_pauses(plain, pauses, random.Random(after)),
            1.0,
        )
    if item.label == "burr":
        rest = max(0.0, rest - UVULAR_SECONDS * phonemes.count(plain, phonemes.TRILLED))
        plain = phonemes.replace(plain, phonemes.TRILLED, item.speaker.burred_r)
    elif item.label == "fricative_g":
        plain = phonemes.replace(plain, phonemes.PLOSIVE_G, phonemes.VELAR_FRICATIVE)
    slower = phonemes.seconds(plain) / (phonemes.seconds(plain) + rest)
    paused = phonemes.with_pauses(plain, pauses, rng)
    return paused, paused, slower


_synthesiser: Synthesiser | None = None


def make(item: Plan) -> tuple[bytes, dict[str, Any]]:
    """The mp3 of a clip, and its places: `defects` and `letters`, lists of [what, start, end] in seconds."""
    rng, noise_rng = random.Random(item.seed), np.random.default_rng(item.seed)
    sound, letters, places = (read if item.group == "festival" else synthesised)(item, rng)
    loud = np.flatnonzero(np.abs(sound) > recording.EDGE * np.max(np.abs(sound)))
    first = int(loud[0])
    before, after = (int(rng.uniform(*recording.MARGIN_SECONDS) * SAMPLE_RATE) for _ in range(2))
    sound = np.concatenate([np.zeros(before), sound[first : loud[-1] + 1], np.zeros(after)])
    shift = (before - first + MP3_DELAY) / SAMPLE_RATE

    def timed(name: str, start: float, end: float) -> list[Any]:
        return [name, round(start + shift, 3), round(end + shift, 3)]

    told = {
        "defects": [timed(item.label, *span) for span in places],
        "letters": sorted((timed(letter, phone.start, phone.end) for letter, phone in letters), key=lambda row: row[1]),
    }
    return recorded(sound, rng, noise_rng), told


Made = tuple[np.ndarray, list[tuple[str, Phone]], list[tuple[float, float]]]
"""Sound (n,) at 16 kHz, the marker letters in it, and when the defect sounds, in seconds."""


def synthesised(item: Plan, rng: random.Random) -> Made:
    """A clip in an espeak-ng voice."""
    global _synthesiser
    _synthesiser = _synthesiser or Synthesiser()
    said, fluent, slower = spoken(item, rng)
    pitch, rate = item.speaker.pitch + rng.randint(-6, 6), round((item.speaker.rate + rng.randint(-10, 10)) * slower)

    def speak(utterance: phonemes.Utterance) -> Speech:
        assert _synthesiser is not None
        return _synthesiser.speak(
            phonemes.spell(utterance), f"ru+{item.speaker.name}", pitch=pitch, words_a_minute=rate
        )

    speech = speak(said)
    places = defects(item.label, speech.phones, speak(fluent).phones if item.label == "stutter" else [])
    letters = [("р", phone) for phone in speech.phones if phone.symbol in (TRILL, *UVULAR)]
    letters += [("г", phone) for phone in speech.phones if phone.symbol in (PLOSIVE, *FRICATIVE)]
    return soxr.resample(speech.samples.astype(np.float32) / 32768, speech.rate, SAMPLE_RATE), letters, places


def read(item: Plan, rng: random.Random) -> Made:
    """A clip in the recorded voice: of two twins the one of the plan's class."""
    extra = rng.uniform(*EXTRA_SECONDS)
    pauses = extra * rng.uniform(*PAUSE_SHARE)
    try:
        stuttered, fluent = cutting.twins(festival.speak(item.text), extra, pauses, rng.randint(1, 3), rng)
    except cutting.TooShortError as error:
        raise cutting.TooShortError(f"sentences.yaml: {item.text!r}: {error}") from error
    made = stuttered if item.label == "stutter" else fluent
    letters = [(festival.LETTERS[p.symbol], p) for p in made.phones if p.symbol in festival.LETTERS]
    return made.sound, letters, list(made.spans)


def defects(label: str, phones: list[Phone], fluent: list[Phone]) -> list[tuple[float, float]]:
    """When the defect sounds, in seconds: the replaced sounds, or what fluent speech lacks."""
    if label in ("burr", "fricative_g"):
        symbols = UVULAR if label == "burr" else FRICATIVE
        return [(phone.start, phone.end) for phone in phones if phone.symbol in symbols]
    if label != "stutter":
        return []
    match = difflib.SequenceMatcher(None, [p.symbol for p in fluent], [p.symbol for p in phones], autojunk=False)
    return [
        (phones[first].start, phones[last - 1].end)
        for kind, _, _, first, last in match.get_opcodes()
        if kind in ("insert", "replace") and last > first and phones[last - 1].end - phones[first].start > 0.1
    ]


def recorded(sound: np.ndarray, rng: random.Random, noise_rng: np.random.Generator) -> bytes:
    """Speech as it reaches an archive: perhaps a room or a telephone line, noise, another level, mp3."""
    if rng.random() < 0.3:
        sound = reverberated(sound, noise_rng)
    sound = noisy(sound, rng.uniform(12.0, 35.0), noise_rng)
    if rng.random() < 0.15:
        sound = band_limited(sound, 300.0, 3400.0)
    sound = sound / np.max(np.abs(sound)) * 10 ** (rng.uniform(-18.0, -2.0) / 20)
    return recording.mp3(sound, BIT_RATE)


def table(plans: list[Plan]) -> str:
    """`data_train.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "label", "speaker", "text", "split", "group"))
    writer.writerows(
        (p.file, p.label, p.speaker.name, p.text, p.split if p.split == "test" else "", p.group) for p in plans
    )
    return text.getvalue()


def write(plans: list[Plan], target: Path, workers: int) -> None:
    """Make all clips; archive and places appear only when they are whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, places = target.with_suffix(".partial"), {}
    with ProcessPoolExecutor(workers) as pool, zipfile.ZipFile(partial, "w") as file:
        file.writestr(zipfile.ZipInfo("data_train.csv", ZIP_TIME), table(plans))
        for item, (sound, told) in zip(plans, pool.map(make, plans, chunksize=8), strict=True):
            file.writestr(zipfile.ZipInfo(f"data_mp3/train/{item.file}", ZIP_TIME), sound)
            places[item.file] = {"label": item.label, "split": item.split, "group": item.group, **told}
    target.with_suffix(".places.json").write_text(json.dumps(places, ensure_ascii=False), encoding="utf-8")
    partial.replace(target)
    print(f"{target}: {len(plans)} clips, {target.stat().st_size / 1e6:.1f} MB")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make a labelled corpus of generated Russian speech.")
    parser.add_argument("--out", type=Path, default=Path("var/bench/corpus.zip"))
    parser.add_argument("--train", type=int, default=600, help="clips of the voices that training may hear")
    parser.add_argument("--test", type=int, default=240, help="clips of voices that it may not hear")
    parser.add_argument("--festival", type=int, default=40, help="test clips in Festival's recorded voice; 0: none")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    try:
        if options.festival:
            festival.check()
        plans = plan(options.train, options.test, options.seed)
        plans += festival_plan(options.festival, len(plans) + 1, options.seed)
        write(plans, options.out, options.workers)
    except (festival.FestivalError, EspeakError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
