from __future__ import annotations

import base64
from typing import Any

import pytest

from api.intake.bodies import body_bytes, json_recording
from api.intake.problems import Problem

PACKED = base64.b64encode(bytes(range(256)) * 5).decode()


@pytest.mark.parametrize("size", [1, 2, 3, 1_000, 25_000_000])
def test_a_body_may_hold_what_its_file_may(size: int) -> None:
    assert len(base64.b64encode(bytes(min(size, 3_000)))) <= body_bytes(min(size, 3_000))


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        ([], "bad_json", None),
        ("x", "bad_json", None),
        (None, "bad_json", None),
        ({}, "no_file", "file"),
        ({"file": None}, "no_file", "file"),
        ({"file": ""}, "no_file", "file"),
        ({"data": PACKED}, "no_file", "file"),
        ({"file": 3}, "bad_request", "file"),
        ({"file": ["x"]}, "bad_request", "file"),
        ({"file": "QUJD", "words": "maybe"}, "bad_request", "words"),
        ({"file": "QUJD", "language": 7}, "bad_request", "language"),
    ],
)
def test_json_that_holds_no_recording_is_refused(value: Any, code: str, field: str | None) -> None:
    with pytest.raises(Problem) as caught:
        json_recording(value)
    assert (caught.value.status_code, caught.value.code, caught.value.field) == (400, code, field)


def test_other_members_of_the_object_do_no_harm() -> None:
    found = json_recording({"file": "QUJD", "words": True, "device": "cpu"})
    assert (found.file, found.words, found.language) == ("QUJD", True, None)
