"""Examples of requests and answers, as they stand in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from api.intake.problems import Problem

REQUESTS: dict[str, Any] = {
    "recording": {"summary": "A recording alone", "value": {"file": "recording.mp3"}},
    "text": {
        "summary": "A recording of a known text, without its waveform",
        "value": {"file": "recording.wav", "text": "Карл у Клары украл кораллы", "peaks": 0},
    },
    "words": {
        "summary": "A recording whose words Whisper is to hear",
        "value": {"file": "recording.ogg", "words": True, "peaks": 800},
    },
}

FORM_REQUESTS: dict[str, Any] = {
    "recording": {"summary": "A recording alone", "value": {"file": "recording.mp3"}},
    "words": {"summary": "With each word's time", "value": {"file": "recording.wav", "words": True}},
}

JSON_REQUESTS: dict[str, Any] = {
    "recording": {"summary": "A recording in base64", "value": {"file": "UklGRi4AAABXQVZF"}},
    "words": {"summary": "With each word's time", "value": {"file": "UklGRi4AAABXQVZF", "words": True}},
}

TRANSCRIPT: dict[str, JsonValue] = {
    "text": "the patient sleeps",
    "words": [
        {"word": "the", "start": 0.2, "end": 0.32, "confidence": 0.981},
        {"word": "patient", "start": 0.4, "end": 0.92, "confidence": 0.943},
        {"word": "sleeps", "start": 1.0, "end": 1.44, "confidence": 0.912},
    ],
    "confidence": 0.944,
    "duration": 2.4,
    "language": "en",
    "bundle": "asr-2b3c4d5e6f70",
    "warnings": [],
}

HEALTH: dict[str, JsonValue] = {
    "status": "ok",
    "bundle": "defects-1a2b3c4d5e6f",
    "refused": None,
    "recipes": {
        "defects": {"bundle": "defects-1a2b3c4d5e6f", "refused": None},
        "asr": {"bundle": "asr-2b3c4d5e6f70", "refused": None},
    },
}

MODEL_CARD: dict[str, JsonValue] = {
    "bundle": "defects-1a2b3c4d5e6f",
    "recipe": "defects",
    "language": "ru",
    "created": "2025-03-01T10:15:00+00:00",
    "published": "2025-03-01T10:15:04+00:00",
    "previous": "defects-0f9e8d7c6b5a",
    "classes": [
        {"name": "none", "names": {"ru": "без дефекта", "en": "no defect"}},
        {"name": "burr", "names": {"ru": "картавость", "en": "burr"}},
    ],
    "exclusive": True,
    "letters": ["р", "г"],
    "limits": {"min_seconds": 0.2, "max_seconds": 60.0, "max_upload_bytes": 25000000, "sample_rate": 16000},
    "precision": {
        "name": "int8",
        "seconds": {"fp32": 0.071, "int8": 0.022},
        "agreement": {"int8": {"clips": 240, "difference": 0.011, "flipped": 0, "flipped_sure": 0}},
    },
    "gate": [
        {"name": "minimum_macro_f1", "passed": True, "detail": "macro-F1 0.879, at least 0.500 is asked for"},
    ],
    "gate_override": None,
    "metrics": {"macro_f1": 0.879, "per_class": {"burr": {"precision": 0.9, "recall": 0.88, "f1": 0.89}}},
    "lineage": {"run": "7e0f6f0c-5d6b-4bb4-9a37-0d5a3e2b9c11", "clips": "3c1d5e7f9a0b"},
    "refused": None,
}

RECOGNISER_CARD: dict[str, JsonValue] = {
    "bundle": "asr-2b3c4d5e6f70",
    "recipe": "asr",
    "language": "en",
    "created": "2025-03-01T10:15:00+00:00",
    "published": "2025-03-01T10:15:04+00:00",
    "previous": "asr-1f2e3d4c5b6a",
    "limits": {"min_seconds": 0.6, "max_seconds": 1800.0, "max_upload_bytes": 25000000, "sample_rate": 16000},
    "vocabulary_size": 512,
    "frame_seconds": 0.04,
    "gate": [
        {"name": "maximum_wer", "passed": True, "detail": "WER 0.09 on 4120 words of the test split, at most 0.2"}
    ],
    "gate_override": None,
    "metrics": {"wer": 0.09, "cer": 0.03, "words": 4120, "interval": {"low": 0.08, "high": 0.1}},
    "lineage": {"run": "7e0f6f0c-5d6b-4bb4-9a37-0d5a3e2b9c11", "recogniser": "3c1d5e7f9a0b"},
    "refused": None,
}

NO_MODEL = Problem(503, "no_model", "no model is in service yet; train one: `make demo`")
_FURTHER = (
    Problem(400, "not_a_file", "the field 'file' holds text; send the recording itself, with a file name"),
    Problem(400, "empty", "the file is empty"),
    Problem(400, "unknown_field", "'languge' is not taken here; what is: file, text, words, peaks", field="languge"),
    Problem(400, "repeated_field", "'words' was sent twice; send it once", field="words"),
    Problem(400, "several_files", "2 recordings came in one form; send one at a time", field="file"),
    Problem(400, "bad_request", "peaks: Input should be less than or equal to 2000"),
    Problem(408, "upload_too_slow", "the recording came too slowly, and others wait; send it again"),
    Problem(422, "too_short", "0.11 s of sound; at least 0.2 s are needed"),
    Problem(422, "too_long", "longer than 60 s; cut it into shorter recordings"),
    Problem(422, "text_does_not_fit", "text: the text holds no word"),
    Problem(422, "not_assessable", "the model finds no finite answer for this recording"),
    Problem(503, "busy", "too many recordings wait already; try again soon"),
    Problem(
        503, "no_room", "the service cannot store an upload of this size now; send a smaller one, or try again later"
    ),
    Problem(503, "timeout", "the service is too busy to answer in time; try again soon"),
    Problem(
        503, "no_memory", "the service has no memory left for this recording now; try again soon, or send a shorter one"
    ),
    Problem(503, "starting", "the service is starting"),
)


def further(status: int) -> list[Problem]:
    """What else than a route's first example of a status may come back with it."""
    return [problem for problem in _FURTHER if problem.status_code == status]
