"""Makes `mini.zip`, a small archive of generated Russian speech with three defects, to try the machinery with.

    python -m samples.make_mini --out samples/mini.zip --seed 20

It needs espeak-ng. The same seed and the same espeak-ng give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from samples import phonemes, recording

HERE = Path(__file__).resolve().parent
LABELS = ("none", "burr", "fricative_g", "stutter")
ZIP_TIME = (2020, 1, 1, 0, 0, 0)  # fixed, so that the archive depends on its content alone
EXTRA_SECONDS = (0.5, 1.0)  # added to every clip
PAUSE_SHARE = (0.3, 0.8)  # of the extra seconds, as pauses between words
UVULAR_SECONDS = 0.06  # by which espeak-ng's uvular r is longer than the trill it replaces


class EspeakError(RuntimeError):
    """espeak-ng is missing, lacks a voice, or did not speak what was asked."""


@dataclass(frozen=True)
class Speaker:
    """One espeak-ng variant with its habits: `pitch` 0 to 99, `rate` in words a minute, how it says a burred r."""

    name: str
    pitch: int
    rate: int
    burred_r: str


@dataclass(frozen=True)
class Plan:
    """One clip to be made; `label` is empty for a clip that serves pretraining only. `seed` decides the rest."""

    file: str
    label: str
    speaker: Speaker
    text: str
    seed: int


def speakers(names: list[str], rng: random.Random) -> list[Speaker]:
    """Habits for each voice. Raises `EspeakError` for a voice that is kept for judging."""
    for name in names:
        if int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2:
            raise EspeakError(f"voice {name!r} is kept for judging (its sha1 is odd); take it out of corpus.yaml")
    return [
        Speaker(
            name,
            pitch=rng.randint(26, 46),
            rate=rng.randint(132, 150),
            burred_r=(phonemes.UVULAR_FRICATIVE, phonemes.UVULAR_TRILL)[index % 2],
        )
        for index, name in enumerate(names)
    ]


def quota(label: str, index: int) -> int:
    """Clips of a class by speaker number `index`: about three, fluent ones a little more often."""
    uneven = {"none": index % 3 == 0, "burr": -(index % 4 == 1), "fricative_g": -(index % 4 == 3)}
    return 3 + uneven.get(label, 0)


def plan(corpus: dict[str, list[str]], seed: int) -> list[Plan]:
    """All clips in shuffled order. Every speaker speaks every class, every sentence occurs in every class."""
    rng = random.Random(seed)
    cast = speakers(corpus["voices"], rng)
    chosen: list[tuple[str, Speaker, str]] = []
    for label in LABELS:
        deck: list[str] = []
        for index, speaker in enumerate(cast):
            for _ in range(quota(label, index)):
                deck = deck or rng.sample(corpus["sentences"], k=len(corpus["sentences"]))
                chosen.append((label, speaker, deck.pop()))
    for index, text in enumerate(corpus["unlabelled"] * 2):
        chosen.append(("", cast[index % len(cast)], text))
    rng.shuffle(chosen)
    return [
        Plan(f"clip_{number:04d}.mp3", label, speaker, text, rng.getrandbits(32))
        for number, (label, speaker, text) in enumerate(chosen, start=1)
    ]


def espeak(*arguments: str) -> bytes:
    """What espeak-ng answers. Raises `EspeakError` with its own words if it fails or is not installed."""
    try:
        return subprocess.run(["espeak-ng", *arguments], check=True, capture_output=True).stdout
    except FileNotFoundError as error:
        raise EspeakError("espeak-ng is not installed; on Debian and Ubuntu: apt-get install espeak-ng") from error
    except subprocess.CalledProcessError as error:
        raise EspeakError(
            f"espeak-ng {' '.join(arguments)}: {error.stderr.decode(errors='replace').strip()}"
        ) from error


def transcribe(text: str) -> phonemes.Utterance:
    """The phonemes of a sentence, as espeak-ng would speak it; `text` may be phonemes in double brackets."""
    return phonemes.parse(espeak("-v", "ru", "-q", "-x", f"--sep={phonemes.SEPARATOR}", text).decode())


def utterance(clip: Plan, rng: random.Random) -> tuple[phonemes.Utterance, float]:
    """The phonemes of a clip, and by which factor its speaker's rate changes.

    Every clip gets extra time, a part of it as pauses between words. The rest goes into the disfluencies of a clip of
    class stutter and into slower speech in all others: neither duration nor pauses tell the classes apart.
    """
    plain = transcribe(clip.text)
    extra = rng.uniform(*EXTRA_SECONDS)
    pauses = extra * rng.uniform(*PAUSE_SHARE)
    rest = extra - pauses
    if clip.label == "stutter":
        return phonemes.with_pauses(phonemes.stuttered(plain, rest, rng), pauses, rng), 1.0
    if clip.label == "burr":
        rest = max(0.0, rest - UVULAR_SECONDS * phonemes.count(plain, phonemes.TRILLED))
        plain = phonemes.replace(plain, phonemes.TRILLED, clip.speaker.burred_r)
    elif clip.label == "fricative_g":
        plain = phonemes.replace(plain, phonemes.PLOSIVE_G, phonemes.VELAR_FRICATIVE)
    slower = phonemes.seconds(plain) / (phonemes.seconds(plain) + rest)
    return phonemes.with_pauses(plain, pauses, rng), slower


def speak(spoken: phonemes.Utterance, speaker: Speaker, slower: float, rng: random.Random) -> np.ndarray:
    """Samples (n,) at 16 kHz. Raises `EspeakError` if espeak-ng does not know one of the phonemes."""
    spelled = phonemes.spell(spoken)
    understood = transcribe(spelled)
    if not phonemes.agree(understood, spoken):
        raise EspeakError(f"espeak-ng reads {spelled} as {phonemes.spell(understood)}")
    pitch = speaker.pitch + rng.randint(-6, 6)
    rate = round((speaker.rate + rng.randint(-8, 8)) * slower)
    return recording.trimmed(espeak("-v", f"ru+{speaker.name}", "-p", str(pitch), "-s", str(rate), "--stdout", spelled))


def make(clip: Plan) -> bytes:
    """The mp3 of one clip."""
    rng = random.Random(clip.seed)
    spoken, slower = utterance(clip, rng)
    speech = speak(spoken, clip.speaker, slower, rng)
    return recording.mp3(recording.recorded(speech, np.random.default_rng(clip.seed)))


def table(clips: list[Plan], columns: Sequence[str]) -> str:
    """`data_train.csv` with these of the columns file, label, speaker and text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for clip in clips:
        writer.writerow({"file": clip.file, "label": clip.label, "speaker": clip.speaker.name, "text": clip.text})
    return text.getvalue()


def archive(
    clips: list[Plan], columns: Sequence[str], sound_of: Callable[[Plan], bytes], target: Path, workers: int
) -> None:
    """Make all clips and write the archive; `target` appears only when it is whole."""
    members: list[tuple[str, bytes]] = [("data_train.csv", table(clips, columns).encode())]
    with ThreadPoolExecutor(workers) as pool:
        for number, (clip, sound) in enumerate(zip(clips, pool.map(sound_of, clips), strict=True), start=1):
            members.append((f"data_mp3/train/{clip.file}", sound))
            if number % 25 == 0 or number == len(clips):
                print(f"{number} of {len(clips)} clips", flush=True)
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, data)
    partial.replace(target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {len(clips)} clips")


def main() -> int:
    """The command line."""

    def build(options: argparse.Namespace) -> None:
        corpus = yaml.safe_load((HERE / "corpus.yaml").read_text(encoding="utf-8"))
        columns = ("file", "label", "speaker", "text")
        archive(plan(corpus, options.seed), columns, make, options.out, options.workers)

    return command("Make the sample archive of generated Russian speech.", HERE / "mini.zip", build)


def command(description: str, out: Path, build: Callable[[argparse.Namespace], None]) -> int:
    """Run `build` with the options out, seed and workers; the exit code. What espeak-ng lacks is said, not raised."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=out, help="the archive to write")
    parser.add_argument("--seed", type=int, default=20, help="decides who says what, and how")
    parser.add_argument("--workers", type=int, default=2, help="clips made at a time")
    options = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed; on Debian and Ubuntu: apt-get install espeak-ng", file=sys.stderr)
        return 1
    try:
        build(options)
    except (EspeakError, phonemes.NothingToReplaceError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
