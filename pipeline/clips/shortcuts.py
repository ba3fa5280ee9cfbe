"""The shortcut audit of an archive: what length, level, noise, bandwidth, codec, rate and speaker tell of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import speaker_key
from pipeline.clips.samples import to_float32
from pipeline.evaluation.bootstrap import shown_interval
from pipeline.evaluation.metrics import indicators
from pipeline.evaluation.shortcuts import Shortcut, audit
from pipeline.markdown import table
from speech.audio.quality import examine

MOST_CLIPS = 4000  # that are measured; more would take minutes and tell the same
SPEAKER, TOGETHER = "speaker", "all but the speaker"
_JUDGED = ("test", "validation")  # the split that judges: the first of them that has labelled clips
_HEADER = ("known of a clip", "which is", "macro-F1", "by chance", "at most by chance", "found")
_MEANING = {
    "duration": "length",
    "level": "level, peak and clipped share",
    "noise": "signal-to-noise ratio",
    "bandwidth": "share of high frequencies",
    "codec": "file format and bits a second",
    "rate": "sample rate and channels of the file",
    SPEAKER: "the spectrum of the speaker's other clips",
    TOGETHER: "everything above together",
}
_REMEDY = {
    "duration": "read the same sentences for every class, or cut and join recordings until the lengths are alike",
    "level": "record every class at the same distance and gain, or bring all clips to one level",
    "noise": "record every class in the same rooms, or mix the same noise into all",
    "bandwidth": "record every class with the same microphones, or filter all clips alike",
    "codec": "bring all clips into one format from the originals, at one bit rate",
    "rate": "record every class with the same settings, or resample all clips alike before archiving them",
    SPEAKER: "add speakers to each class, or speakers who can be heard in several",
    TOGETHER: "see the properties above; together they may tell what none tells alone",
}


def audit_clips(
    records: Sequence[ClipRecord], samples: np.ndarray, classes: Sequence[str], *, exclusive: bool
) -> list[Shortcut]:
    """What each property of the labelled clips tells of their classes, on the archive's own split.

    `samples` is the whole sample file, int16 (n,). Of many clips some are drawn, always the same. The list is empty
    where there are too few clips (`pipeline.evaluation.shortcuts.audit`).
    """
    labelled = [record for record in records if record.labels]
    judging = next((split for split in _JUDGED if any(record.split == split for record in labelled)), None)
    clips = [record for record in labelled if record.split in ("train", judging)]
    clips = sorted(clips, key=lambda record: record.id)[:MOST_CLIPS]  # ids are hashes of the sound
    if judging is None or not clips:
        return []
    return audit(
        _properties(clips, samples),
        indicators([record.labels for record in clips], classes),
        np.array([record.split == "train" for record in clips]),
        [_speaker(record) for record in clips],
        exclusive=exclusive,
    )


def told(rows: Sequence[Shortcut]) -> list[str]:
    """A warning for each property that tells the classes."""
    return [
        f"a model may learn the {row.name} instead of the defect: knowing nothing else, {_score(row)} of macro-F1 are "
        f"reached where chance gives {row.chance:.2f}; {_REMEDY[row.name]}"
        for row in rows
        if row.tells and row.name != TOGETHER
    ]


def section(rows: Sequence[Mapping[str, Any]]) -> str:
    """The audit in Markdown, of what `Shortcut.as_dict` gives; empty where there is none."""
    if not rows:
        return ""
    rows_shown = [list(shown(row).values()) for row in rows]
    remedies = "\n".join(f"- {row['name']}: {_REMEDY[row['name']]}." for row in rows if row["tells"])
    todo = f"\n\nWhat to do, before a model is trusted on recordings from elsewhere:\n\n{remedies}" if remedies else ""
    return f"""## Shortcuts
What a trivial model reaches on this archive's own split that knows one property of each recording and hears no
defect. Where that is more than chance, a model may have learned the property: its figures on this archive then promise
too much. In brackets the middle 95% of bootstrap draws of whole speakers.

{table(_HEADER, rows_shown)}{todo}"""


def shown(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of the audit for people."""
    cells = (
        row["name"],
        _MEANING[row["name"]],
        shown_interval(row["macro_f1"]),
        f"{row['chance']:.3f}",
        f"{row['chance_high']:.3f}",
        "tells the class" if row["tells"] else "",
    )
    return dict(zip(_HEADER, cells, strict=True))


def _properties(clips: Sequence[ClipRecord], samples: np.ndarray) -> dict[str, np.ndarray]:
    signals = [examine(to_float32(samples[clip.offset : clip.offset + clip.length])) for clip in clips]
    codecs = {name: float(number) for number, name in enumerate(sorted({clip.codec for clip in clips}))}
    plain: dict[str, list[list[float]]] = {
        "duration": [[clip.seconds] for clip in clips],
        "level": [[clip.level_dbfs, clip.peak_dbfs, clip.clipped_share] for clip in clips],
        "noise": [[signal.snr_db] for signal in signals],
        "bandwidth": [[signal.high_band_db] for signal in signals],
        "codec": [[codecs[clip.codec], clip.kilobits] for clip in clips],
        "rate": [[clip.source_rate, clip.channels] for clip in clips],
    }
    known = {name: np.array(values, dtype=float) for name, values in plain.items()}
    spectra = np.array([signal.colour_db for signal in signals])
    return known | {SPEAKER: _others(clips, spectra), TOGETHER: np.hstack(list(known.values()))}


def _others(clips: Sequence[ClipRecord], spectra: np.ndarray) -> np.ndarray:
    """The mean spectrum (clips, bands) of the other clips of each clip's speaker, so that nothing of the clip itself is
    heard; NaN where there are none."""
    found = np.full_like(spectra, np.nan)
    members: dict[str, list[int]] = {}
    for index, clip in enumerate(clips):
        if clip.speaker is not None:
            members.setdefault(_speaker(clip), []).append(index)
    for those in (np.array(those) for those in members.values() if len(those) > 1):
        whole = spectra[those].sum(0)
        found[those] = (whole - spectra[those]) / (len(those) - 1)
    return found


def _speaker(record: ClipRecord) -> str:
    """Whom a clip is drawn together with: its speaker, or it alone where nobody is named."""
    return f"clip {record.id}" if record.speaker is None else f"{record.archive}/{speaker_key(record.speaker)}"


def _score(row: Shortcut) -> str:
    return f"{row.macro_f1['value']:.2f}"
