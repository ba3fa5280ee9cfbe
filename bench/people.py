"""Measures bundles on people's recordings: letters found, false alarms, joined clips, stutter cut in, probes.

    python -m bench.corpora --to var/corpora festvox-ru asterisk-ru klettres ktuberling
    python -m bench.people --corpora var/corpora --bundle var/bundles/<id> --bundle var/bundles/<other>
    python -m bench.people --corpora var/corpora --encoder encoders/small --limit 50

Errors are told against coverage as well: of all, of the surest, and of those on which the service decides.

Recordings are judged as the service's `predict` judges them. No recording of a person with a defect is among them: who
speaks Russian here speaks fluently, so every "yes" on them is a false alarm. Other languages are probes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.corpora.clips import CorpusError
from bench.corpora.stutter_pairs import pair
from bench.people_errors import COVERED, Outcome, among_surest, outright
from bench.people_shares import Share, Told
from bench.people_voices import Voice, voices
from bench.places import LETTERS, Found, found_letters
from bench.service_judge import Judge, Said
from pipeline.defects.pretraining import start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from pipeline.markdown import table
from samples.make_mini import LABELS
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.files import BundleError
from speech.defects.model import DefectModel
from speech.defects.spec import REFERENCE_CLASS, marked_classes
from speech.text.language import load_language

STUTTER = "stutter"
JOINED = (1, 2, 3, 4)  # clips of one voice in a recording
PAUSE_SECONDS = 0.3
ANY_YES, ANY_NAMED, UNLIKE = '"yes" of any', "named any", "unlike training"
MARKERS: dict[str, Sequence[str]] = {"none": (), "burr": ("р",), "fricative_g": ("г",), "stutter": ()}


def letters(model: DefectModel, voice: Voice) -> dict[str, Found]:
    """How well р and г are found within 50 ms in the clips whose letters are known."""
    total = {letter: Found() for letter in LETTERS if letter in model.spec.letters}
    for clip in voice.clips:
        if clip.letters:
            for letter, found in found_letters(model, voice.samples(clip), clip.letters).items():
                total[letter] += found
    return total


def alarms(judge: Judge, voice: Voice, outcomes: list[Outcome]) -> dict[str, Share]:
    """Shares of a voice's clips as they are: `"yes" of any` defect, `named any`, each defect named, and those
    `unlike training`. What becomes of each, as fluent speech, is added to `outcomes`."""
    defects = [name for name in judge.bundle.config.model.classes if name != REFERENCE_CLASS]
    found = dict.fromkeys((ANY_YES, ANY_NAMED, *(f"named {name}" for name in defects), UNLIKE), Share())
    for clip in voice.clips:
        if (said := judge.judge((voice.corpus / clip.file).read_bytes())) is not None:
            told = {ANY_YES: bool(said.yes), ANY_NAMED: bool(said.named), UNLIKE: said.unlike_training}
            told |= {f"named {name}": name in said.named for name in defects}
            found = {name: share.counted(told[name]) for name, share in found.items()}
            outcomes.append(_outcome(said, ()))
    return found


def _outcome(said: Said, truth: tuple[str, ...]) -> Outcome:
    return Outcome(said.probability, said.outright, said.named != truth)


def joined(samples: Iterable[np.ndarray]) -> np.ndarray:
    """Clips of one voice with pauses between them, (n,)."""
    silence = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    parts = [part for one in samples for part in (one, silence)]
    return np.concatenate(parts[:-1])


def joinings(judge: Judge, voice: Voice, count: int) -> tuple[Share, Share]:
    """(named stutter, "yes" of stutter) of recordings of so many clips; each clip is in one recording."""
    named, yes = Share(), Share()
    for first in range(0, len(voice.long) - count + 1, count):
        clips = voice.long[first : first + count]
        if (said := judge.judge_samples(joined(voice.samples(clip) for clip in clips))) is not None:
            named, yes = named.counted(STUTTER in said.named), yes.counted(STUTTER in said.yes)
    return named, yes


def cut_stutter(judge: Judge, voice: Voice, outcomes: list[Outcome]) -> Told:
    """Which copies are named stuttered, of those with stutter cut in and of their fluent twins; what becomes of each is
    added to `outcomes`."""
    stuttered, fluent = Share(), Share()
    for number, clip in enumerate(voice.long):
        if (made := pair(voice.samples(clip), np.random.default_rng(number))) is None:
            continue
        answers = [judge.judge_samples(made.stuttered), judge.judge_samples(made.fluent)]
        if answers[0] is not None and answers[1] is not None:
            stuttered = stuttered.counted(STUTTER in answers[0].named)
            fluent = fluent.counted(STUTTER in answers[1].named)
            outcomes += [_outcome(answers[0], (STUTTER,)), _outcome(answers[1], ())]
    return Told(stuttered, fluent)


def bundle_report(folder: Path, everybody: Sequence[Voice]) -> Iterator[str]:
    """Markdown of one bundle, part by part as it is measured."""
    fluent = [voice for voice in everybody if voice.kind == "person" and voice.long]
    with Judge(folder) as judge:
        yield f"## {judge.bundle.id}"
        yield letters_table(judge.bundle.model, everybody)
        outcomes: dict[str, list[Outcome]] = {voice.name: [] for voice in everybody}
        found = [(voice, alarms(judge, voice, outcomes[voice.name])) for voice in everybody]
        yield alarms_table(found)
        rows = [
            (voice, count, *joinings(judge, voice, count))
            for voice in fluent
            for count in JOINED
            if len(voice.long) >= count
        ]
        yield joined_table(rows)
        yield stutter_table([(voice, cut_stutter(judge, voice, outcomes[voice.name])) for voice in fluent])
        yield errors_table({voice.name: outcomes[voice.name] for voice in everybody if voice.kind == "person"})
        if judge.refused:
            counts = ", ".join(f"{code} {count}" for code, count in judge.refused.most_common())
            yield f"Refused, and counted nowhere above: {counts}."


def encoder_report(name: str, everybody: Sequence[Voice]) -> Iterator[str]:
    """Markdown of an encoder's own letters."""
    settings = EncoderSettings(name=name, pretext=Pretext.letters)
    alphabet = load_language("ru").alphabet
    model = start_model(settings, LABELS, LETTERS, marked_classes(MARKERS), alphabet=alphabet).eval()
    yield f"## {name}"
    yield letters_table(model, everybody)


def letters_table(model: DefectModel, everybody: Sequence[Voice]) -> str:
    """р and г within 50 ms: F1, and of how many."""
    rows = []
    for voice in everybody:
        found = letters(model, voice)
        if any(one.there for one in found.values()):
            shown = (f"{found[name].f1:.3f} of {found[name].there}" if name in found else "-" for name in LETTERS)
            rows.append((voice.name, voice.kind, *shown))
    return _titled("Letters within 50 ms, F1", table(("voice", "", *LETTERS), rows))


def alarms_table(found: Sequence[tuple[Voice, dict[str, Share]]]) -> str:
    """What is said of clips as they are; on Russian people and on synthesisers all of it is a false alarm."""
    rows = [(voice.name, voice.kind, voice.language, one[ANY_YES].of, *one.values()) for voice, one in found]
    header = ("voice", "", "language", "clips", *found[0][1])
    return _titled("Alarms, with 95% intervals over clips", table(header, rows))


def joined_table(rows: Sequence[tuple[Voice, int, Share, Share]]) -> str:
    """Fluent clips of one voice, joined."""
    shown = [(voice.name, count, named.of, named, yes) for voice, count, named, yes in rows]
    header = ("voice", "clips joined", "recordings", "named stutter", '"yes" of stutter')
    return _titled(f"Fluent clips joined with a pause of {PAUSE_SECONDS} s", table(header, shown))


def stutter_table(rows: Sequence[tuple[Voice, Told]]) -> str:
    """Stutter cut into people, beside their fluent twins."""
    shown = [(voice.name, told.fluent.of, told.stuttered, told.fluent, f"{told.f1:.3f}") for voice, told in rows]
    header = ("voice", "pairs", "named stutter: stuttered copies", "fluent copies", "F1")
    return _titled("Stutter cut into people, and fluent twins cut as often", table(header, shown))


def errors_table(people: Mapping[str, Sequence[Outcome]]) -> str:
    """Errors against coverage, of each person and of all: clips as they are, copies with stutter or with cuts alone."""
    everybody = [one for outcomes in people.values() for one in outcomes]
    rows = [
        (name, len(outcomes), *outright(outcomes), *(f"{among_surest(outcomes, share).value:.1%}" for share in COVERED))
        for name, outcomes in (*people.items(), ("all", everybody))
    ]
    header = (
        "voice",
        "recordings",
        "decided",
        "of these wrong",
        *(f"wrong of the surest {share:.0%}" for share in COVERED),
    )
    return _titled("Errors against coverage", table(header, rows))


def _titled(title: str, body: str) -> str:
    return f"{title}\n\n{body}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure bundles on people's recordings.")
    parser.add_argument("--corpora", type=Path, default=Path("var/corpora"))
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="a bundle's folder; may be repeated")
    parser.add_argument("--encoder", action="append", default=[], help="an encoder with letters of its own")
    parser.add_argument("--limit", type=int, help="so many clips of each voice, always the same ones")
    options = parser.parse_args(arguments)
    if not options.bundle and not options.encoder:
        parser.error("name what is to be measured: --bundle FOLDER or --encoder NAME")
    try:
        everybody = voices(options.corpora, options.limit)
        for parts in (
            *(bundle_report(folder, everybody) for folder in options.bundle),
            *(encoder_report(name, everybody) for name in options.encoder),
        ):
            for part in parts:
                print(part, end="\n\n", flush=True)
    except (CorpusError, BundleError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
