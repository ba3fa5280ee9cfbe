"""Examples of requests and answers, as they stand in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from api.problems import Problem

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

HEALTH: dict[str, JsonValue] = {"status": "ok", "bundle": "defects-1a2b3c4d5e6f", "refused": None}

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

_FURTHER = (
    Problem(400, "not_a_file", "the field 'file' holds text; send the recording itself, with a file name"),
    Problem(400, "empty", "the file is empty"),
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
    Problem(503, "starting", "the service is starting"),
)


def further(status: int) -> list[Problem]:
    """What else than a route's first example of a status may come back with it."""
    return [problem for problem in _FURTHER if problem.status_code == status]
