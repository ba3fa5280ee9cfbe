"""Labels that no person gave: transcripts and marker letters of clips, as the stages keep them in files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.clips.dataset import ClipSet
from speech.files import write_atomically
from speech.text.language import Language
from speech.whisper.markers import ClipMarkers, ConfidenceLimits, count_markers, from_text
from speech.whisper.transcript import WhisperTranscript

_TRANSCRIPTS, _MARKERS, _REFERENCE = "transcripts.json", "markers.json", "reference.json"
Transcripts = dict[str, dict[str, Any]]
"""Clip id to transcript; only `text` where it came from the table, else all that `WhisperTranscript.as_dict` holds."""


def write_transcripts(folder: Path, transcripts: Transcripts) -> None:
    """Keep transcripts in a stage's folder."""
    _write(folder / _TRANSCRIPTS, transcripts)


def read_transcripts(folder: Path) -> Transcripts:
    """What `write_transcripts` kept."""
    value: Transcripts = _read(folder / _TRANSCRIPTS)
    return value


def count_letters_of(
    data: ClipSet, transcripts: Transcripts, language: Language, limits: ConfidenceLimits
) -> dict[str, ClipMarkers]:
    """Clip id to its marker letters, for the clips that have a transcript."""
    found = {}
    for record in data.records:
        transcript = transcripts.get(record.id)
        if transcript is None:
            continue
        if "words" in transcript:
            found[record.id] = count_markers(WhisperTranscript.from_dict(transcript), record.seconds, language, limits)
        else:
            found[record.id] = from_text(transcript["text"], language)
    return found


def reference_counts(data: ClipSet, language: Language) -> dict[str, dict[str, int]]:
    """Clip id to the letters of its text in the table, where it has one: the truth that counting is judged by.

    Nothing is trained on it unless the user says that transcripts come from the text column.
    """
    found = {record.id: from_text(record.text, language).counts for record in data.records if record.text}
    return {clip: counts for clip, counts in found.items() if counts is not None}


def write_markers(folder: Path, markers: Mapping[str, ClipMarkers], reference: Mapping[str, Mapping[str, int]]) -> None:
    """Keep marker letters and the reference counts in a stage's folder."""
    _write(folder / _MARKERS, {clip: found.as_dict() for clip, found in markers.items()})
    _write(folder / _REFERENCE, reference)


def read_markers(folder: Path) -> dict[str, ClipMarkers]:
    """Clip id to its marker letters, as `write_markers` kept them."""
    return {clip: ClipMarkers.from_dict(found) for clip, found in _read(folder / _MARKERS).items()}


def read_reference(folder: Path) -> dict[str, dict[str, int]]:
    """Clip id to the reference counts, as `write_markers` kept them."""
    value: dict[str, dict[str, int]] = _read(folder / _REFERENCE)
    return value


def _write(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, ensure_ascii=False))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
