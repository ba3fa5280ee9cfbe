"""The judgement of a trained model on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline.defects.calibration import outcomes
from pipeline.defects.champion import compare
from pipeline.defects.corpus import Corpus, CountTruth
from pipeline.defects.multilabel_evaluation import certification_of_defects, reliability_of_defects
from pipeline.defects.pictures import reliability_picture, risk_coverage_picture
from pipeline.defects.predictions import CountedClip, LabelledClip, predict
from pipeline.defects.probability_fit import Fitted
from pipeline.defects.showcase import choose, showcase_picture
from pipeline.defects.weights import load_model
from pipeline.evaluation import (
    ANSWERS,
    DECISIONS,
    EXAMPLE,
    EXAMPLES,
    METRICS,
    RELIABILITY,
    RISK_COVERAGE,
    SHOWCASE,
    WORSE_BY,
)
from pipeline.evaluation.accepted_errors import certification
from pipeline.evaluation.groups import group_metrics
from pipeline.evaluation.metrics import NothingToJudge, marker_metrics, metrics_of
from pipeline.evaluation.reliability import reliability, verdict_counts
from pipeline.progress import Report
from speech.audio.decode import SAMPLE_RATE
from speech.bundles.defects import load_bundle, trained_on
from speech.defects.diagnose import Diagnosis
from speech.defects.multilabel import AnyCalibration, MultilabelCalibration
from speech.defects.precision import agreements, takes_half
from speech.encoders.precision import Precision
from speech.files import write_json

_CLIPS_FOR_PRECISION = 240  # of which one may be flipped


@dataclass
class Judgement:
    """What a test gave: the figures, each clip's answer, a clip to try the service with, and a picture of a few."""

    metrics: dict[str, Any]
    answers: list[dict[str, Any]]
    example: np.ndarray = field(repr=False)
    showcase: bytes = field(repr=False)

    examples: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Samples of a test clip for each class, by the file that they are written to."""

    worse_by: tuple[float, ...] = field(default=(), repr=False)
    """How much worse than the champion in each bootstrap draw: `pipeline.evaluation.bootstrap.Difference`."""

    def write(self, folder: Path) -> None:
        """Write metrics, answers, draws against the champion, example, `examples` and the pictures to `folder`."""
        write_json(folder / METRICS, self.metrics)
        write_json(folder / ANSWERS, self.answers)
        write_json(folder / WORSE_BY, self.worse_by)
        soundfile.write(folder / EXAMPLE, self.example, SAMPLE_RATE)
        (folder / EXAMPLES).mkdir()
        for name, samples in self.examples.items():
            soundfile.write(folder / name, samples, SAMPLE_RATE)
        figures = self.metrics["calibration"]["test"]
        of = "test clips" if self.metrics["exclusive"] else DECISIONS
        (folder / RELIABILITY).write_bytes(reliability_picture(figures["bins"], of))
        (folder / RISK_COVERAGE).write_bytes(risk_coverage_picture(figures["risk_coverage"], figures["accepted"], of))
        (folder / SHOWCASE).write_bytes(self.showcase)


def evaluate(
    corpus: Corpus,
    trained: Path,
    champion: Path | None,
    left_out: str,
    batch_size: int,
    device: str,
    report: Report,
    fitted: Fitted,
) -> Judgement:
    """Judge the model in `trained` on the labelled test clips, calibrated as `fitted` on the validation clips, beside
    the bundle in `champion`.

    `left_out` says why there is no champion where it is None. Every clip is diagnosed once.

    Raises `NothingToJudge` where the test split holds no labelled clip.
    """
    clips = corpus.judged(corpus.clips.of_split("test", labelled=True))
    if not clips:
        raise NothingToJudge("the test split holds no labelled clip; see the report of the clips stage")
    model = load_model(trained, device)
    counted = {truth: corpus.counted("test", truth) for truth in CountTruth}
    groups: list[Sequence[CountedClip]] = [clips, *counted.values()]
    heard = {clip.clip: clip for group in groups for clip in group}
    said = dict(zip(heard, predict(model, list(heard.values()), batch_size, report, fitted.calibration), strict=True))
    answers = [said[clip.clip] for clip in clips]
    classes, exclusive = corpus.clips.classes, model.spec.exclusive
    truth = [clip.labels for clip in clips]
    named = [answer.named for answer in answers]
    metrics = metrics_of(truth, named, classes, exclusive=exclusive)
    metrics["markers"] = _counting(corpus, counted, said)
    test = _reliability(clips, answers, fitted.calibration, classes)
    limit = fitted.summary["max_accepted_error"]
    metrics["calibration"] = {
        "applied": fitted.calibration.as_dict(),
        "fit": fitted.summary,
        "test": test,
        "certification": certification(test["accepted"], limit) if exclusive else certification_of_defects(test, limit),
        "verdicts": verdict_counts(answers, truth),
    }
    metrics["precisions"] = _precisions(trained, clips, fitted.calibration, device, report)
    metrics["speakers"] = len({clip.speaker for clip in clips if clip.speaker is not None})
    metrics["groups"] = group_metrics(clips, named, classes)
    metrics["speakers_known"] = corpus.clips.speakers_known
    metrics["champion"], worse_by = (
        compare(champion, clips, answers, classes, batch_size, device, report, exclusive=exclusive)
        if champion is not None
        else ({"bundle": None, "left_out": left_out}, ())
    )
    example = min(clips, key=lambda clip: clip.content)  # one in particular, and not chosen by its answer
    metrics["example"] = {"clip": example.clip, "label": " and ".join(example.labels)}
    of_classes = _first_of_each(clips, classes)
    metrics["examples"] = _examples(of_classes, corpus)
    examples = {_sound_file(number): clip.load() for number, clip in enumerate(of_classes.values()) if clip}
    exhibits = choose(clips, answers)
    metrics["showcase"] = [exhibit.as_dict() for exhibit in exhibits]
    shown = [_answer(clip, answer) for clip, answer in zip(clips, answers, strict=True)]
    return Judgement(metrics, shown, example.load(), showcase_picture(exhibits), examples, worse_by)


def _first_of_each(clips: Sequence[LabelledClip], classes: Sequence[str]) -> dict[str, LabelledClip | None]:
    """Of each class the clip whose content's sha256 is lowest, whatever was answered; None where there is no clip."""
    ordered = sorted(clips, key=lambda clip: clip.content)
    return {name: next((clip for clip in ordered if name in clip.labels), None) for name in classes}


def _examples(clips: Mapping[str, LabelledClip | None], corpus: Corpus) -> list[dict[str, Any]]:
    """A row per class: its name, and of its clip the file in the archive, its labels and where its sound is."""
    files = {record.id: record.file for record in corpus.clips.records}
    return [
        {"class": name}
        | ({"file": files[clip.clip], "labels": list(clip.labels), "sound": _sound_file(number)} if clip else {})
        for number, (name, clip) in enumerate(clips.items())
    ]


def _sound_file(number: int) -> str:
    return f"{EXAMPLES}/{number}.wav"  # a class may have a name that no file can have


def _precisions(
    trained: Path, clips: Sequence[LabelledClip], calibration: AnyCalibration, device: str, report: Report
) -> dict[str, dict[str, Any]]:
    """How cheaper precisions answer beside fp32 on the first clips by content: on a CPU, where services have one, and
    fp16, which is of cards alone, where this machine has a card."""
    chosen = sorted(clips, key=lambda clip: clip.content)[:_CLIPS_FOR_PRECISION]
    found = agreements(load_model(trained, "cpu"), (clip.load() for clip in chosen), calibration)
    if device == "cuda" and takes_half(model := load_model(trained, device)):
        found |= agreements(model, (clip.load() for clip in chosen), calibration, (Precision.fp16,))
    for precision, agreement in found.items():
        report(f"evaluation: {precision} beside fp32 {agreement.outcome}")
    return {precision.value: agreement.as_dict() for precision, agreement in found.items()}


def _reliability(
    clips: Sequence[LabelledClip], answers: Sequence[Diagnosis], calibration: AnyCalibration, classes: Sequence[str]
) -> dict[str, Any]:
    logits, truth, units = outcomes(clips, answers, classes)
    if isinstance(calibration, MultilabelCalibration):
        return reliability_of_defects(logits, truth, units, calibration)
    return reliability(logits, truth.argmax(1), units, calibration)


def _counting(
    corpus: Corpus, counted: Mapping[CountTruth, Sequence[CountedClip]], said: Mapping[str, Diagnosis]
) -> dict[str, Any]:
    """How well marker letters are counted on the test clips, labelled or not.

    The figures are against the transcripts, whose counts are what was learned; where the table has texts, those
    against the true letters stand beside them, as `by_text`.
    """
    figures = {
        truth: marker_metrics(
            [clip.counts for clip in clips],
            [said[clip.clip].markers for clip in clips],
            corpus.mean_counts("train", truth),
        )
        for truth, clips in counted.items()
    }
    return figures[CountTruth.transcript] | {"by_text": figures[CountTruth.text], "unmeasured": _uncounted(corpus)}


def _uncounted(corpus: Corpus) -> str | None:
    """Why nothing can be said of how well letters are counted; None where something can."""
    if not corpus.letters:
        return "no class has marker letters"
    lacking = [split for split in ("train", "test") if not corpus.counted(split, CountTruth.transcript)]
    return f"no trusted transcripts of {' and '.join(lacking)} clips" if lacking else None


def _answer(clip: LabelledClip, answer: Diagnosis) -> dict[str, Any]:
    # Too much to keep of every clip.
    bulky = ("spelling", "intensity", "heard", "frame_scores", "frame_seconds", "features")
    said = {name: value for name, value in asdict(answer).items() if name not in bulky}
    return {
        "clip": clip.clip,
        "label": clip.label,
        "labels": clip.labels,
        "speaker": clip.speaker,
        "counts": clip.counts,
    } | said


def score(corpus: Corpus, bundle: Path, batch_size: int, device: str, report: Report) -> dict[str, Any]:
    """A bundle's figures on all labelled clips but those it was trained on (`excluded` counts them).

    Raises `NothingToJudge` where none is left or the bundle tells other classes apart, or takes them for exclusive
    where the clips do not, or the other way round; `BundleError` where it cannot be loaded.
    """
    loaded = load_bundle(bundle, device)
    classes, exclusive = corpus.clips.classes, loaded.model.spec.exclusive
    if loaded.model.spec.classes != classes:
        raise NothingToJudge(
            f"{bundle.name} tells {', '.join(loaded.model.spec.classes)} apart; set ops.clips.config.classes to these"
        )
    if exclusive != corpus.clips.exclusive:
        raise NothingToJudge(
            f"{bundle.name} gives a clip {'one class' if exclusive else 'several defects'}; set "
            f"ops.clips.config.exclusive to {str(exclusive).lower()}"
        )
    seen = trained_on(bundle)
    labelled = corpus.judged([record for record in corpus.clips.records if record.label is not None])
    clips = [clip for clip in labelled if clip.content not in seen]
    answers = predict(loaded.model, clips, batch_size, report, loaded.calibration)
    said = [answer.named for answer in answers]
    metrics = metrics_of([clip.labels for clip in clips], said, classes, exclusive=exclusive)
    return metrics | {"excluded": len(labelled) - len(clips)}
