from __future__ import annotations

import base64
import textwrap
from typing import Any

import pytest

from api.intake.bodies import body_bytes, json_recording, unpacked
from api.intake.problems import Problem

DATA = bytes(range(256)) * 5
PACKED = base64.b64encode(DATA).decode()


@pytest.mark.parametrize("text", [PACKED, "\r\n".join(textwrap.wrap(PACKED, 76)) + "\n"])
def test_base64_is_unpacked_with_or_without_line_breaks(text: str) -> None:
    with unpacked(text, "file", 10_000) as file:
        file.seek(0)
        assert file.read() == DATA
        assert file.fileno() > 0


@pytest.mark.parametrize("text", [PACKED[:-2], "не base64", "http://example.org/a.wav", "%%%%", "QUJDR"])
def test_what_is_not_base64_names_the_field(text: str) -> None:
    with pytest.raises(Problem) as caught, unpacked(text, "instances.3.file", 10_000):
        pass
    problem = caught.value
    assert (problem.status_code, problem.code, problem.field) == (400, "not_base64", "instances.3.file")
    assert problem.detail.startswith("instances.3.file: is not base64")


def test_too_much_is_refused() -> None:
    with pytest.raises(Problem) as caught, unpacked(PACKED, "file", len(DATA) - 1):
        pass
    assert (caught.value.status_code, caught.value.code) == (413, "too_large")


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
