"""Forms as programs write them: whatever was sent is used or refused, and never dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.intake.multipart import extended_name, is_text
from tests.recordings import encoded, hum

SPEECH = encoded(hum(1.0))
LARGE = encoded(hum(10.0))  # more than a field may hold
PARTS: dict[str, str] = json.loads((Path(__file__).parent / "known_cases" / "file_parts.json").read_text())
BOUNDARY = {"content-type": "multipart/form-data; boundary=x"}


def part(disposition: str, data: bytes = SPEECH, kind: str = "") -> bytes:
    head = f"--x\r\nContent-Disposition: {disposition}\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
    return head.encode() + b"\r\n" + data + b"\r\n"


def post(client: TestClient, *parts: bytes) -> Any:
    return client.post("/api/predict", content=b"".join(parts) + b"--x--\r\n", headers=BOUNDARY)


def refusal(response: Any) -> tuple[int, str, str | None]:
    document = response.json()
    return response.status_code, document["code"], document.get("field")


@pytest.mark.parametrize("disposition", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("kind", ["", "audio/wav", "application/octet-stream"])
def test_a_recording_is_taken_however_it_is_named(client: TestClient, disposition: str, kind: str) -> None:
    response = post(client, part(disposition, SPEECH, kind))
    assert response.status_code == 200, response.text
    assert response.json()["duration"] == pytest.approx(1.0, abs=0.01)


def test_a_recording_without_a_name_may_be_larger_than_a_field(client: TestClient) -> None:
    assert len(LARGE) > 65_536
    assert post(client, part(PARTS["no name"], LARGE)).json()["duration"] == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize("data", [b"http://127.0.0.1/a.wav", "C:\\Записи\\а.wav".encode(), b"a" * 70_000])
def test_words_without_a_name_are_no_recording(client: TestClient, data: bytes) -> None:
    assert refusal(post(client, part(PARTS["no name"], data))) == (400, "not_a_file", "file")


def test_an_empty_field_is_no_recording(client: TestClient) -> None:
    assert refusal(post(client, part(PARTS["no name"], b""))) == (400, "no_file", "file")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b"form-data; name=file; filename*=UTF-8''%D0%B0.wav", "а.wav"),
        (b"form-data; name=file; filename*=iso-8859-1''%E9.wav", "é.wav"),
        (b'form-data; name=file; filename*0="a"; filename*1="b.wav"', "ab.wav"),
        (b"form-data; name=\"filename*=UTF-8''a.wav\"", None),
        (b"form-data; name=file", None),
        (b"", None),
        (b"form-data; name=file; filename*" + b"9" * 5_000 + b"=a", ""),
    ],
)
def test_names_in_the_extended_notation(disposition: bytes, name: str | None) -> None:
    assert extended_name(disposition) == name


def test_a_letter_cut_at_the_end_of_the_head_is_text_all_the_same() -> None:
    assert is_text("длинно".encode()[:-1])
    assert not is_text(b"\xff\xfb\x90\x44")
    assert not is_text(b"RIFF\x24\x00\x00\x00WAVE")


FORM = "form-data; name="


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ([part(PARTS["both notations"])], "several_files", "file"),
        ([part(PARTS["extended name alone"])], "several_files", "file"),
        ([part(PARTS["no name"])], "several_files", "file"),
        ([part(FORM + "audio; filename=b.wav")], "unknown_field", "audio"),
        ([part(FORM + "languge", b"ru")], "unknown_field", "languge"),
        ([part(FORM + "words", b"true"), part(FORM + "words", b"false")], "repeated_field", "words"),
        ([part(FORM + '"words[]"', b"true")], "unknown_field", "words[]"),
        ([part(FORM + '""', b"1")], "unknown_field", ""),
    ],
)
def test_what_would_be_dropped_is_refused_by_name(client: TestClient, more: list[bytes], code: str, field: str) -> None:
    for parts in ([part(PARTS["both notations"]), *more], [*more, part(PARTS["both notations"])]):
        response = post(client, *parts)
        assert refusal(response) == (400, code, field or None)
        assert repr(field) in response.json()["detail"] or field in response.json()["detail"]


def test_a_field_sent_twice_alike_does_no_harm(client: TestClient) -> None:
    twice = [part(FORM + "device", b"cpu")] * 2
    assert post(client, part(PARTS["both notations"]), *twice).status_code == 200


def test_a_recording_in_another_field_is_told_where_it_belongs(client: TestClient) -> None:
    response = client.post("/api/predict", files={"audio": ("a.wav", SPEECH)})
    assert refusal(response) == (400, "no_file", "file")
    assert "'audio'" in response.json()["detail"]
