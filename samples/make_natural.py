"""Makes `natural.zip`: natural voices that the ready configurations hear beside a user's archive, in training alone.

    python -m samples.make_natural --out samples/natural.zip --corpora var/corpora

A woman's recordings (asterisk-ru), RHVoice's voices under the LGPL, which were built from people, and Kokoro's neural
voices whose sha1(name) is even. Every recording comes twice: fluent, and with stutter cut in, as long and joined as
often. Kokoro's voices also say the uvular р and the fricative г. So natural voices are in every class that a source can
say, and the voice alone tells none of them.
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
from bench.corpora.stutter_pairs import Pair, pair
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


def plain_pairs(told: Iterator[tuple[np.ndarray, str, str]], rng: np.random.Generator) -> Iterator[Spoken]:
    """Each recording fluent and stuttered."""
    for sound, speaker, text in told:
        if (both := pair(sound, rng)) is not None:
            yield from _pair(both, speaker, text)


def neural(store: Path, report: Report, rng: np.random.Generator) -> Iterator[Spoken]:
    """A sentence of each of Kokoro's voices in all four classes."""
    model = kokoro.Kokoro.fetched(store, report)
    voices = random.Random("neural").sample(model.voices, NEURAL)
    for number, voice in enumerate(voices, start=1):
        (text,) = sentences(voice, 1)
        ipa, speaker = model.ipa(text), f"kokoro-{voice}"
        if (both := pair(model.speak(voice, ipa), rng)) is None:
            continue
        yield from _pair(both, speaker, text)
        for label, sounds_, other in (("burr", TRILLED, UVULAR), ("fricative_g", PLOSIVE, FRICATIVE)):
            changed = ipa
            for symbol in sounds_:
                changed = changed.replace(symbol, other)
            if changed != ipa and (said := pair(model.speak(voice, changed), rng)) is not None:
                yield Spoken(said.fluent, label, speaker, text)
        report(f"kokoro: {number} of {NEURAL} voices")


def _pair(both: Pair, speaker: str, text: str) -> Iterator[Spoken]:
    yield Spoken(both.fluent, "none", speaker, text)
    yield Spoken(both.stuttered, "stutter", speaker, text)


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
            *plain_pairs(people(store, report), rng),
            *plain_pairs(readers(store, report), rng),
            *neural(store, report, rng),
        ]
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 1
    archive(clips, options.out, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
