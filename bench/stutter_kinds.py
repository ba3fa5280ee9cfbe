"""Kinds of stutter cut into fluent recordings: an archive that labels them, and a bundle's figures on it.

    python -m bench.stutter_kinds make --corpora var/corpora --out var/bench/kinds.zip
    make demo KEEP=0 ARCHIVE=var/bench/kinds.zip CONFIG=configs/stutter-kinds.yaml
    python -m bench.stutter_kinds judge --bundle var/bundles/<id> --clip-set var/stages/clips/<key>

Repetitions, prolongations, blocks and fillers are cut into recordings of people and of RHVoice's voices, no, one or
two kinds into each; each clip gets longer pauses too. `<name>.places.json` beside the archive tells when. Clips of test
speakers judge. It shows that kinds can be told and placed, not that people's own stutter is heard.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.corpora.clips import Clip, CorpusError, read_clips
from bench.places import NEAR_SECONDS, Span, overlaps, spans_of
from pipeline.clips.dataset import ClipSet
from pipeline.defects.disfluency import CUTS, disfluent, paused
from pipeline.markdown import table
from samples import recording
from speech.audio.decode import SAMPLE_RATE, decode
from speech.bundles.defects import load_bundle
from speech.defects.diagnose import diagnose
from speech.defects.spec import REFERENCE_CLASS

SOURCES = ("rhvoice", "asterisk-ru", "festvox-ru")
EACH = 20  # clips of a speaker
SECONDS = (1.5, 6.0)
MARGIN_SECONDS = 0.2
KINDS = tuple(dict.fromkeys(CUTS.values()))


def chosen(corpora: Path, rng: random.Random) -> list[tuple[Path, Clip]]:
    """`EACH` clips of each speaker whose recordings are neither short nor long. Raises `CorpusError`."""
    by_speaker: dict[str, list[tuple[Path, Clip]]] = {}
    for source in SOURCES:
        for clip in read_clips(corpora / source):
            by_speaker.setdefault(clip.speaker, []).append((corpora / source / clip.file, clip))
    found = []
    for speaker in sorted(by_speaker):
        clips = rng.sample(by_speaker[speaker], len(by_speaker[speaker]))
        fitting = (one for one in clips if SECONDS[0] <= soundfile.info(one[0]).duration <= SECONDS[1])
        found += [one for _, one in zip(range(EACH), fitting, strict=False)]
    return found


def cut(samples: np.ndarray, kinds: Sequence[str], rng: np.random.Generator) -> tuple[np.ndarray, list[Any]] | None:
    """The samples with these kinds cut in, and their (kind, start, end) in seconds; None where there is no onset."""
    samples = paused(samples, rng)
    if not kinds:
        return samples, []
    made = disfluent(samples, rng, [name for name, kind in CUTS.items() if kind in kinds])
    if made is None:
        return None
    return made[0], [(one.kind, one.start / SAMPLE_RATE, (one.start + one.length) / SAMPLE_RATE) for one in made[1]]


def make(corpora: Path, out: Path, seed: int) -> None:
    """Write the archive and its places. Raises `CorpusError`."""
    rng, draw = np.random.default_rng(seed), random.Random(seed)
    rows, places = io.StringIO(), {}
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(("file", "label", "speaker", "text"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w") as archive:
        for number, (path, clip) in enumerate(chosen(corpora, draw), start=1):
            kinds = draw.sample(KINDS, draw.choice((0, 1, 1, 2)))
            if (made := cut(decode(path).samples, kinds, rng)) is None:
                continue
            sound, spans = made
            name = f"clip_{number:04d}.flac"
            around = np.zeros(round(MARGIN_SECONDS * SAMPLE_RATE), np.float32)
            whole = np.concatenate([around, sound, around])
            buffer = io.BytesIO()  # not mp3, which shifts the sound
            sound = recording.with_background(whole, float(np.std(sound)), rng)
            soundfile.write(buffer, sound, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            archive.writestr(f"data_mp3/train/{name}", buffer.getvalue())
            there = sorted({kind for kind, _, _ in spans})
            writer.writerow((name, "; ".join(there) or REFERENCE_CLASS, clip.speaker, clip.text))
            places[name] = [(kind, start + MARGIN_SECONDS, end + MARGIN_SECONDS) for kind, start, end in spans]
        archive.writestr("data_train.csv", rows.getvalue())
    out.with_suffix(".places.json").write_text(json.dumps(places), encoding="utf-8")
    print(f"{out}: {len(places)} clips")


def judged(bundle_folder: Path, clip_set: Path, places: dict[str, list[Any]]) -> str:
    """Of the clips of test speakers: F1 of each kind, and its places hit and false ones a minute, as Markdown."""
    bundle, clips = load_bundle(bundle_folder), ClipSet.load(clip_set)
    told = {kind: [0, 0, 0] for kind in KINDS}  # right, said, there
    found = {kind: [0, 0, 0] for kind in KINDS}  # places hit, there, false
    seconds = 0.0
    for record in clips.of_split("test", labelled=True):
        samples = clips.samples(record)
        (answer,) = diagnose(bundle.model, [samples], bundle.calibration)
        seconds += len(samples) / SAMPLE_RATE
        known = places[Path(record.file).name]
        for kind in KINDS:
            there: list[Span] = spans_of(known, kind)
            told[kind] = [a + b for a, b in zip(told[kind], _said(kind in answer.named, bool(there)), strict=True)]
            hit, false = overlaps(spans_of(answer.places, kind), there, NEAR_SECONDS)
            found[kind] = [a + b for a, b in zip(found[kind], (hit, len(there), false), strict=True)]
    rows = [
        (
            kind,
            told[kind][2],
            f"{2 * told[kind][0] / max(1, told[kind][1] + told[kind][2]):.3f}",
            f"{found[kind][0]} of {found[kind][1]}",
            f"{60 * found[kind][2] / max(seconds, 1):.1f}",
        )
        for kind in KINDS
    ]
    return table(("kind", "clips that have it", "F1", "places hit", "false ones a minute"), rows)


def _said(named: bool, there: bool) -> tuple[int, int, int]:
    return int(named and there), int(named), int(there)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kinds of stutter cut into fluent recordings.")
    what = parser.add_subparsers(dest="what", required=True)
    making = what.add_parser("make", help="make the archive")
    making.add_argument("--corpora", type=Path, default=Path("var/corpora"))
    making.add_argument("--out", type=Path, default=Path("var/bench/kinds.zip"))
    making.add_argument("--seed", type=int, default=20)
    judging = what.add_parser("judge", help="judge a bundle on the clips of its test speakers")
    judging.add_argument("--archive", type=Path, default=Path("var/bench/kinds.zip"))
    judging.add_argument("--bundle", type=Path, required=True)
    judging.add_argument("--clip-set", type=Path, required=True, help="the folder of the run's stage clips")
    options = parser.parse_args()
    try:
        if options.what == "make":
            make(options.corpora, options.out, options.seed)
        else:
            places = json.loads(options.archive.with_suffix(".places.json").read_text(encoding="utf-8"))
            print(judged(options.bundle, options.clip_set, places))
    except CorpusError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
