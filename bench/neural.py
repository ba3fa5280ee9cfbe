"""What bundles say of a neural synthesiser's voices and sentences that no training has heard, in every class.

    python -m bench.neural --to var/bench/neural.zip
    python -m bench.neural --archive var/bench/neural.zip --bundle var/bundles/<id> --bundle var/bundles/<other>

The voices are Kokoro's whose sha1(name) is odd, the sentences those that `bench.corpus` keeps for its test split. Each
sentence comes in all classes, edited and recorded as those of `samples/natural.zip` are, whose voices are the others.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.corpora import kokoro
from bench.corpora.clips import CorpusError
from bench.corpus import deck, speakable
from pipeline.evaluation.bootstrap import interval, resamples, shown_interval
from pipeline.evaluation.metrics import metrics_of
from pipeline.markdown import table
from pipeline.progress import Report
from samples.make_natural import Spoken, archive, in_all_classes
from speech.audio.decode import decode
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.bundles.files import BundleError
from speech.defects.diagnose import Diagnosis, diagnose
from speech.defects.spec import REFERENCE_CLASS


@dataclass(frozen=True)
class Judged:
    """A clip of a known class and voice, and what is said of it."""

    label: str
    voice: str
    answer: Diagnosis


def spoken(store: Path, readings: int, seed: int, report: Report) -> Iterator[Spoken]:
    """So many sentences of each voice in all classes. Raises `CorpusError`."""
    model, rng = kokoro.Kokoro.fetched(store, report), np.random.default_rng(seed)
    texts = filter(speakable, deck("test", random.Random(seed)))
    voices = model.judging_voices * readings
    for number, voice in enumerate(voices):
        yield from in_all_classes(model, voice, next(texts), number, rng)
        report(f"kokoro: {number + 1} of {len(voices)} sentences")


def judged(bundle: LoadedBundle, path: Path) -> list[Judged]:
    """Every clip of an archive that this command made."""
    with zipfile.ZipFile(path) as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file.open("data_train.csv"), "utf-8")))
        sounds = [decode(file.read(f"data_mp3/train/{row['file']}")).samples for row in rows]
    return [
        Judged(row["label"], row["speaker"], diagnose(bundle.model, [samples], bundle.calibration)[0])
        for row, samples in zip(rows, sounds, strict=True)
    ]


def auc(found: Sequence[Judged], name: str) -> dict[str, float | None]:
    """How often a clip of a class has a higher probability of it than one of none, with an interval over voices."""
    two = [one for one in found if one.label in (name, REFERENCE_CLASS)]
    truth = np.array([one.label == name for one in two])
    said = np.array([one.answer.probabilities[one.answer.classes.index(name)] for one in two])
    drawn = [
        roc_auc_score(truth[draw], said[draw])
        for draw in resamples([one.voice for one in two])
        if len(set(truth[draw])) == 2
    ]
    return interval(float(roc_auc_score(truth, said)), np.array(drawn))


def report_of(bundle: LoadedBundle, found: Sequence[Judged]) -> str:
    """Markdown: macro-F1, and a row for each defect."""
    classes = bundle.config.model.classes
    truth, named = [(one.label,) for one in found], [one.answer.named for one in found]
    metrics = metrics_of(truth, named, classes, exclusive=True)
    rows = [
        (name, sum(one.label == name for one in found), f"{metrics['per_class'][name]['f1']:.3f}",
         "-" if name == REFERENCE_CLASS else shown_interval(auc(found, name)))
        for name in classes
    ]  # fmt: skip
    voices = len({one.voice for one in found})
    head = f"## {bundle.id}\n\nmacro-F1 {metrics['macro_f1']:.3f} on {len(found)} clips of {voices} voices\n\n"
    return head + table(("class", "clips", "F1", "AUC against none"), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Judge bundles on a neural synthesiser's unheard voices.")
    parser.add_argument("--to", type=Path, help="the archive to make")
    parser.add_argument("--archive", type=Path, default=Path("var/bench/neural.zip"), help="the archive to judge by")
    parser.add_argument("--corpora", type=Path, default=Path("var/corpora"), help="where packages are kept")
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="a bundle's folder; may be repeated")
    parser.add_argument("--readings", type=int, default=2, help="sentences of each voice")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args(arguments)
    if not options.bundle and options.to is None:
        parser.error("say what is to be done: --to ARCHIVE makes one, --bundle FOLDER is judged by one")

    def told(line: str) -> None:
        print(line, flush=True)

    try:
        if options.to is not None:
            options.to.parent.mkdir(parents=True, exist_ok=True)
            store = options.corpora.resolve() / ".packages"
            archive(list(spoken(store, options.readings, options.seed, told)), options.to, options.seed)
        for folder in options.bundle:
            bundle = load_bundle(folder)
            told(report_of(bundle, judged(bundle, options.archive)))
    except (CorpusError, BundleError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
