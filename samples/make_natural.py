"""Makes `natural.zip`: natural voices that the ready configurations hear beside a user's archive, in training alone.

    python -m samples.make_natural --out samples/natural.zip --corpora var/corpora

A woman's recordings (asterisk-ru), RHVoice's voices under the LGPL, which were built from people, and Kokoro's neural
voices whose sha1(name) is even. Every recording comes twice: fluent, and with stutter cut in. Kokoro's
voices also say the uvular р and the fricative г. So natural voices are in every class that a source can say, and the
voice alone tells none of them.

Fluent clips are in turn as they were spoken, with longer pauses, and cut and joined as often as a stuttered one with
pauses of the disfluencies' length. Stuttered ones have longer pauses in half of the cases. If all fluent clips were
lengthened by pauses, unedited speech would be called stutter for want of them: in 85% of the woman's own prompts.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from bench.corpora import asterisk_ru, kokoro, packages, rhvoice, sounds
from bench.corpora.clips import CorpusError
from bench.corpora.stutter_pairs import pair
from pipeline.defects.disfluency import disfluent, paused
from pipeline.progress import Report
from samples import recording
from samples.make_mini import HERE, ZIP_TIME
from speech.audio.decode import SAMPLE_RATE, AudioError

PROMPTS = 24  # of the woman
PROMPT_SECONDS = (1.5, 4.0)
READINGS = 6  # of each voice of RHVoice
NEURAL = 20  # voices of Kokoro
TRILLED, UVULAR = ("rʲ", "r"), "ʁ"
PLOSIVE, FRICATIVE = ("ɡʲ", "ɡ"), "ɣ"


@dataclass(frozen=True)
class Spoken:
    """One recording before a microphone: samples (n,) float32 at 16 kHz; `text` is empty where it is unknown."""

    sound: np.ndarray
    label: str
    speaker: str
    text: str


def sentences(voice: str, count: int) -> list[str]:
    """Of the sample archive's sentences so many for a voice, always the same: each holds a р and a г."""
    known = yaml.safe_load((HERE / "corpus.yaml").read_text(encoding="utf-8"))["sentences"]
    return random.Random(f"natural {voice}").sample(known, count)


def people(store: Path, report: Report) -> Iterator[tuple[np.ndarray, str, str]]:
    """Prompts of some seconds, drawn at random: samples, speaker, text."""
    folder = packages.debian(asterisk_ru.PACKAGE, store, report) / asterisk_ru.SOUNDS
    names = sorted(path for path in folder.rglob("*.g722"))
    random.Random("prompts").shuffle(names)
    left = PROMPTS
    for path in names:
        if path.relative_to(folder).as_posix().startswith(asterisk_ru.NO_SPEECH) or not left:
            continue
        try:
            sound = sounds.g722(path).sound
        except AudioError:
            continue
        if PROMPT_SECONDS[0] <= len(sound) / SAMPLE_RATE <= PROMPT_SECONDS[1]:
            left -= 1
            yield sound, asterisk_ru.SPEAKER, ""


def readers(store: Path, report: Report) -> Iterator[tuple[np.ndarray, str, str]]:
    """RHVoice's voices under the LGPL."""
    libraries, data = rhvoice.fetched(store, report)
    known = rhvoice.profiles(data)
    for voice in rhvoice.MAY_SHIP:
        for text in sentences(voice, READINGS):
            yield rhvoice.recorded(libraries, data, text, known[voice]).sound, f"rhvoice-{voice}", text


def editions(sound: np.ndarray, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """A recording fluent and stuttered, each edited as its `number` wants it; None where nothing can be cut in."""
    both = pair(sound, rng)
    plain = disfluent(sound, rng)
    if both is None or plain is None:
        return None
    fluent = (sound, paused(sound, rng), both.fluent)[number % 3]
    return fluent, both.stuttered if number % 2 else plain[0]


def both_ways(told: Iterator[tuple[np.ndarray, str, str]], rng: np.random.Generator) -> Iterator[Spoken]:
    """Each recording fluent and stuttered."""
    for number, (sound, speaker, text) in enumerate(told):
        if (made := editions(sound, number, rng)) is not None:
            yield Spoken(made[0], "none", speaker, text)
            yield Spoken(made[1], "stutter", speaker, text)


def neural(store: Path, report: Report, rng: np.random.Generator) -> Iterator[Spoken]:
    """A sentence of each of Kokoro's voices in all four classes."""
    model = kokoro.Kokoro.fetched(store, report)
    voices = random.Random("neural").sample(model.voices, NEURAL)
    for number, voice in enumerate(voices):
        (text,) = sentences(voice, 1)
        yield from in_all_classes(model, voice, text, number, rng)
        report(f"kokoro: {number + 1} of {NEURAL} voices")


def in_all_classes(
    model: kokoro.Kokoro, voice: str, text: str, number: int, rng: np.random.Generator
) -> Iterator[Spoken]:
    """A sentence in a voice of Kokoro's, in each class as far as its words allow; `number` says how it is edited."""
    ipa, speaker = model.ipa(text), f"kokoro-{voice}"
    if (made := editions(model.speak(voice, ipa), number, rng)) is None:
        return
    yield Spoken(made[0], "none", speaker, text)
    yield Spoken(made[1], "stutter", speaker, text)
    for label, written, other in (("burr", TRILLED, UVULAR), ("fricative_g", PLOSIVE, FRICATIVE)):
        changed = ipa
        for symbol in written:
            changed = changed.replace(symbol, other)
        if changed != ipa and (said := editions(model.speak(voice, changed), number, rng)) is not None:
            yield Spoken(said[0], label, speaker, text)


def archive(clips: list[Spoken], target: Path, seed: int) -> None:
    """Write the archive; `target` appears only when it is whole."""
    random.Random(seed).shuffle(clips)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "label", "speaker", "text"))
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:

        def put(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, data)

        for number, clip in enumerate(clips, start=1):
            name = f"clip_{number:04d}.mp3"
            writer.writerow((name, clip.label, clip.speaker, clip.text))
            put(f"data_mp3/train/{name}", recording.mp3(recording.recorded(clip.sound, np.random.default_rng(number))))
        put("data_train.csv", text.getvalue().encode())
    partial.replace(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {len(clips)} clips")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the archive of natural voices.")
    parser.add_argument("--out", type=Path, default=HERE / "natural.zip", help="the archive to write")
    parser.add_argument("--corpora", type=Path, default=Path("var/corpora"), help="where packages are kept")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    store, rng = options.corpora.resolve() / ".packages", np.random.default_rng(options.seed)

    def report(line: str) -> None:
        print(line, flush=True)

    try:
        clips = [
            *both_ways(people(store, report), rng),
            *both_ways(readers(store, report), rng),
            *neural(store, report, rng),
        ]
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 1
    archive(clips, options.out, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
