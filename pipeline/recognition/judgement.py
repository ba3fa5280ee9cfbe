"""The judgement of a trained recogniser on the test split, which neither trained it nor chose its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline.clips.dataset import ClipSet
from pipeline.clips.settings import SPLITS
from pipeline.evaluation import ANSWERS, EXAMPLE, METRICS, WORSE_BY
from pipeline.evaluation.metrics import NothingToJudge
from pipeline.progress import Report
from pipeline.recognition.breakdown import by_length, by_speaker, corpus_rate
from pipeline.recognition.champion import compare
from pipeline.recognition.pictures import wer_by_length, wer_by_speaker
from pipeline.recognition.report import REPORT, markup
from pipeline.recognition.scoring import (
    Scored,
    character_counts,
    confusions,
    error_kinds,
    error_rate,
    score,
    word_counts,
)
from pipeline.recognition.utterances import Utterance, recognise, utterances
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.defects import trained_on
from speech.bundles.recogniser import load_recogniser_bundle
from speech.ctc.decoding import Transcript
from speech.ctc.folder import load_recogniser
from speech.files import write_atomically, write_json
from speech.text.language import load_language
from speech.text.normalisation import normalise

BY_SPEAKER, BY_LENGTH = "wer_by_speaker.png", "wer_by_length.png"
WORST = "worst"  # folder of the worst utterances' sound
_WORST = 20  # utterances whose sound is kept; who listens to more looks at the answers of all
_CONFUSIONS = 40


@dataclass
class Judgement:
    """What a test gave: the figures, each utterance's answer, the worst ones' sound by file name, and an utterance to
    try the service with."""

    metrics: dict[str, Any]
    answers: list[dict[str, Any]]
    sounds: dict[str, Callable[[], np.ndarray]] = field(repr=False)
    worst: list[Scored] = field(repr=False)
    example: np.ndarray = field(repr=False)
    worse_by: tuple[float, ...] = field(default=(), repr=False)
    """How much worse than the champion in each bootstrap draw: `pipeline.evaluation.bootstrap.Difference`."""

    def write(self, folder: Path) -> None:
        """Write metrics, answers, draws against the champion, `example.wav`, pictures, the worst utterances as flac
        and `report.html`, which lets them be heard, to `folder`."""
        write_json(folder / METRICS, self.metrics)
        write_json(folder / ANSWERS, self.answers)
        write_json(folder / WORSE_BY, self.worse_by)
        soundfile.write(folder / EXAMPLE, self.example, SAMPLE_RATE)
        if self.metrics["by_speaker"]:
            (folder / BY_SPEAKER).write_bytes(wer_by_speaker(self.metrics["by_speaker"], self.metrics["wer"]))
        (folder / BY_LENGTH).write_bytes(wer_by_length(self.metrics["by_length"]))
        (folder / WORST).mkdir()
        for name, load in self.sounds.items():
            soundfile.write(folder / name, load(), SAMPLE_RATE, format="FLAC")
        pictures = [folder / name for name in (BY_SPEAKER, BY_LENGTH) if (folder / name).exists()]
        write_atomically(folder / REPORT, markup(self.metrics, self.worst, folder, pictures))


def evaluate(
    clips: ClipSet,
    trained: Path,
    champion: Path | None,
    left_out: str,
    batch_size: int,
    device: str,
    report: Report,
) -> Judgement:
    """Judge the recogniser in the folder `trained` on the test utterances, beside the bundle in `champion`.

    `left_out` says why there is no champion where it is None. Rates are over the whole corpus, after
    `speech.text.normalisation.normalise` on both sides; `raw_wer` and `raw_cer` are of the texts as they are.

    Raises `NothingToJudge` where the test split holds no word.
    """
    spoken = utterances(clips, "test")
    how = partial(normalise, language=load_language(clips.language))
    said = [how(one.text) for one in spoken]
    _require_words(said)
    heard = recognise(load_recogniser(trained, device=device), spoken, batch_size, report)
    scored = score(said, [how(answer.text) for answer in heard])
    metrics = metrics_of(spoken, heard, scored) | {"speakers_known": clips.speakers_known, "precisions": {}}
    metrics["champion"], worse_by = (
        compare(champion, spoken, scored, clips.language, how, batch_size, device, report)
        if champion is not None
        else ({"bundle": None, "left_out": left_out}, ())
    )
    worst = _worst(spoken, scored)
    rows = [_row(*one) for one in zip(spoken, heard, scored, strict=True)]
    metrics["worst"] = [rows[index] | {"file": f"{WORST}/{spoken[index].clip}.flac"} for index in worst]
    example = min(spoken, key=lambda one: one.content)  # one in particular, and not chosen by its answer
    metrics["example"] = {"clip": example.clip, "text": example.text}
    sounds = {row["file"]: spoken[index].load for row, index in zip(metrics["worst"], worst, strict=True)}
    return Judgement(metrics, rows, sounds, [scored[index] for index in worst], example.load(), worse_by)


def metrics_of(spoken: Sequence[Utterance], heard: Sequence[Transcript], scored: Sequence[Scored]) -> dict[str, Any]:
    """Rates over a corpus, JSON-able; `scored` are the utterances as they are compared."""
    raw = score([one.text for one in spoken], [answer.text for answer in heard])
    rate = corpus_rate(spoken, scored)
    return {
        "wer": rate["value"],
        "interval": {"low": rate["low"], "high": rate["high"]},
        "cer": error_rate(character_counts(scored)),
        "raw_wer": error_rate(word_counts(raw)),
        "raw_cer": error_rate(character_counts(raw)),
        "clips": len(spoken),
        "words": int(word_counts(scored)[:, 1].sum()),
        "seconds": round(sum(one.seconds for one in spoken), 2),
        "errors": error_kinds(scored),
        "speakers": len({one.speaker for one in spoken if one.speaker is not None}),
        "by_speaker": by_speaker(spoken, scored),
        "by_length": by_length(spoken, scored),
        "confusions": confusions(scored, _CONFUSIONS),
    }


def score_bundle(clips: ClipSet, bundle: Path, batch_size: int, device: str, report: Report) -> dict[str, Any]:
    """A bundle's figures on all utterances but those it was trained on (`excluded` counts them).

    Raises `NothingToJudge` where none is left or the bundle hears another language; `BundleError` where it cannot be
    loaded.
    """
    loaded = load_recogniser_bundle(bundle, device)
    if loaded.config.language != clips.language:
        raise NothingToJudge(
            f"{bundle.name} hears the language {loaded.config.language}; set ops.asr_clips.config.language to it"
        )
    seen = trained_on(bundle)
    all_spoken = [one for split in SPLITS for one in utterances(clips, split)]
    spoken = [one for one in all_spoken if one.content not in seen]
    how = partial(normalise, language=load_language(clips.language))
    said = [how(one.text) for one in spoken]
    _require_words(said)
    heard = recognise(loaded.recogniser, spoken, batch_size, report)
    scored = score(said, [how(answer.text) for answer in heard])
    return metrics_of(spoken, heard, scored) | {"excluded": len(all_spoken) - len(spoken)}


def _require_words(said: Sequence[str]) -> None:
    if not any(text.split() for text in said):
        raise NothingToJudge("no recording to judge by has a text; see the report of the stage asr_clips")


def _worst(spoken: Sequence[Utterance], scored: Sequence[Scored]) -> list[int]:
    """Indices of utterances with errors, by errors a word, then by errors; the worst first."""
    wrong = [index for index, one in enumerate(scored) if one.errors]
    wrong.sort(key=lambda index: (-scored[index].wer, -scored[index].errors, spoken[index].content))
    return wrong[:_WORST]


def _row(spoken: Utterance, heard: Transcript, scored: Scored) -> dict[str, Any]:
    return {
        "clip": spoken.clip,
        "speaker": spoken.speaker,
        "seconds": spoken.seconds,
        "reference": spoken.text,
        "text": heard.text,
        "confidence": heard.confidence,
        "words": scored.words,
        "errors": scored.errors,
    }
