"""Examples of batches' requests and answers, as they stand in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from api.intake.problems import Problem

_ID = "5d1f0c7e9a5b4c0f8f5e6b3f0a1c2d3e"
_LISTED: dict[str, JsonValue] = {
    "id": _ID,
    "name": "march.zip",
    "state": "running",
    "created": "2025-03-01T10:15:00+00:00",
    "finished": None,
    "kept_until": None,
    "sides": True,
    "transcript": False,
    "files": {"total": 500, "waiting": 311, "running": 3, "done": 184, "failed": 2, "cancelled": 0},
    "progress": 0.372,
    "seconds_of_sound": 6512.4,
    "seconds_left": 840.0,
}
BATCH: dict[str, JsonValue] = {
    **_LISTED,
    "failures": [
        {"file": "notes.txt", "code": "not_audio", "detail": "the file is no sound recording that can be decoded"},
        {"file": "calls/17.wav", "code": "encrypted", "detail": "'calls/17.wav' is protected by a password"},
    ],
}
LIST: dict[str, JsonValue] = {
    "batches": [_LISTED],
    "total": 1,
    "limit": 20,
    "offset": 0,
    "usage": {"batches": 1, "most_batches": 100, "bytes": 181234567, "most_bytes": 20000000000},
    "window_seconds": 10.0,
    "longest_delay_seconds": 0.062,
}
DELETED: dict[str, JsonValue] = {"deleted": _ID}

REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One zip of recordings, or recordings; the field may come many times",
                        },
                        "folder": {
                            "type": "string",
                            "description": "Instead: a folder on the service's machine, below one of the setting "
                            "`batch_roots`; its files are read in place",
                        },
                        "sides": {
                            "type": "boolean",
                            "default": False,
                            "description": "Judge each channel by itself, one verdict a side",
                        },
                        "transcript": {
                            "type": "boolean",
                            "default": False,
                            "description": "Keep the words spoken besides, heard by Whisper: in JSON lines with their "
                            "times in each window, in tables as text. Takes about twice as long",
                        },
                    },
                },
                "examples": {
                    "archive": {"summary": "A zip of calls", "value": {"file": ["march.zip"]}},
                    "sides": {"summary": "Stereo calls", "value": {"file": ["1.wav", "2.wav"], "sides": True}},
                    "transcript": {
                        "summary": "Calls and what is said in them",
                        "value": {"file": ["march.zip"], "transcript": True},
                    },
                    "folder": {"summary": "A folder in place", "value": {"folder": "/data/calls/march"}},
                },
            }
        },
    }
}

RESULTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON lines: one a file, with its verdicts and windows. A window's words stand in `transcript`, "
        "each with `text`, `start` and `end` in seconds of the recording; null where no words were asked for. "
        "`feature_score` is its distance from the training clips in the encoder's features. In tables the words are "
        "the column `text`",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {
                "schema": {"type": "string", "format": "binary"}
            },
        },
    }
}

_PROBLEMS = (
    Problem(400, "no_file", "send recordings or a zip in fields 'file', or name a 'folder', one of both"),
    Problem(400, "empty_batch", "there is no file in it; send recordings, or a zip of them"),
    Problem(400, "upload_broken_off", "the upload broke off before its end; send it again, whole"),
    Problem(400, "truncated", "the zip breaks off after 81000 bytes; send it again, whole"),
    Problem(400, "unsupported_archive", "calls.7z: this is a 7-Zip archive; pack the recordings into a .zip"),
    Problem(400, "bad_request", "sides: must be true or false"),
    Problem(400, "unknown_field", "'side' is not taken here; what is: file, folder, sides, transcript", field="side"),
    Problem(400, "repeated_field", "'sides' was sent twice; send it once", field="sides"),
    Problem(401, "key_missing", "this needs a key; send one as `Authorization: Bearer vny_…` or `X-API-Key: vny_…`"),
    Problem(404, "no_batch", "there is no such batch, or it is another key's"),
    Problem(408, "upload_timeout", "the recording did not arrive within 3600 s"),
    Problem(408, "upload_too_slow", "the recording came too slowly, and others wait; send it again"),
    Problem(413, "too_large", "more than 4000.1 MB were sent; send less"),
    Problem(413, "too_many_files", "more than the 50000 files that are taken: split the batch"),
    Problem(415, "bad_archive", "the zip's table of contents cannot be read; send the archive again"),
    Problem(422, "unsafe_archive", "the archive would grow more than a hundredfold, as zip bombs do"),
    Problem(422, "bad_folder", "there is no such folder below those that the setting batch_roots names"),
    Problem(429, "too_many_batches", "there are 100 batches already, as many as one key may have; delete some"),
    Problem(429, "quota_bytes", "20.0 GB of recordings wait already, as much as one key may have; wait or cancel some"),
    Problem(429, "rate_limited", "the key 'anna' has made its 60 requests a minute; try again in 1 s"),
    Problem(501, "no_whisper", "Whisper is not installed; run `make setup` on the machine that is to hear words"),
    Problem(503, "starting", "the service is starting"),
    Problem(503, "no_batches", "the service cannot keep batches; whoever runs it finds why in its log"),
    Problem(503, "too_many_in_progress", "too many requests are in progress; try again soon"),
    Problem(507, "disk_full", "the disk has no room for this batch; nothing of it was kept"),
)


def problems(*statuses: int) -> list[Problem]:
    """What may come back with these statuses."""
    return [problem for problem in _PROBLEMS if problem.status_code in statuses]
