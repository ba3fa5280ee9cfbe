from __future__ import annotations

import asyncio
import base64
import json
import textwrap
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from api.intake.bodies import unpacked
from api.intake.packed_files import packed_file
from api.intake.problems import Problem

DATA = bytes(range(256)) * 5
PACKED = base64.b64encode(DATA).decode()
HEADS: dict[str, str] = json.loads((Path(__file__).parent / "known_cases" / "data_urls.json").read_text())


def read(text: str, most: int = 10_000_000) -> bytes:
    with packed_file(text, "file", most) as file:
        assert file.fileno() > 0
        return file.read()


def refusal(text: str, most: int = 10_000_000) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        packed_file(text, "instances.3.file", most)
    assert caught.value.field == "instances.3.file"
    assert str(caught.value.detail).startswith("instances.3.file: ")
    return caught.value.status_code, caught.value.code


@pytest.mark.parametrize("text", [PACKED, "\r\n".join(textwrap.wrap(PACKED, 76)) + "\n", f" {PACKED}"])
def test_base64_is_unpacked_with_or_without_line_breaks(text: str) -> None:
    assert read(text) == DATA


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_data_urls_are_unpacked(head: str) -> None:
    if "base64" in head.lower():
        assert read(head + PACKED) == DATA
        assert read(head + quote(PACKED, safe="")) == DATA
        assert read(head + "\n".join(textwrap.wrap(PACKED, 76))) == DATA
    else:
        assert read(head + quote(DATA)) == DATA


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 64])
def test_it_does_not_matter_where_pieces_end(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.intake.packed_files._PIECE", piece)
    for data in (b"", b"a", b"ab", b"abc", DATA):
        packed = base64.b64encode(data).decode()
        assert read(packed) == data
        assert read("\n".join(packed)) == data
        assert read(f"data:;base64,{quote(packed, safe='')}") == data
        assert read(f"data:,{quote(data)}") == data
    for text in ("QQ==QUJD", "QQ==\n\nQUJD", "QQ==\n=", "QUJDR", "=QUJ", "QU=D", "Q" + PACKED):
        assert refusal(text) == (400, "not_base64")


@pytest.mark.parametrize(
    "text",
    [
        PACKED[:-2],
        "не base64",
        "http://example.org/a.wav",
        "%%%%",
        "QUJDR",
        "data:audio/wav;base64",
        "data:audio/wav;base64,%%%%",
        "data:audio/wav;base64,не base64",
        f"data:audio/wav;base64,{PACKED[:-2]}",
        "\ud800",
        "data:,\ud800",
    ],
)
def test_what_is_neither_names_the_field(text: str) -> None:
    assert refusal(text) == (400, "not_base64")


def test_too_much_is_refused() -> None:
    for text in (PACKED, f"data:;base64,{PACKED}", f"data:,{quote(DATA)}"):
        assert refusal(text, len(DATA) - 1) == (413, "too_large")
        assert read(text, len(DATA)) == DATA


def test_others_are_answered_while_a_large_file_is_unpacked() -> None:
    text = base64.b64encode(bytes(20_000_000)).decode()

    async def turns() -> tuple[int, float]:
        async def unpack() -> None:
            async with unpacked(text, "file", 30_000_000) as file:
                assert len(await asyncio.to_thread(file.read)) == 20_000_000

        began = time.perf_counter()
        work, count = asyncio.create_task(unpack()), 0
        while not work.done():
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            count += 1
        await work
        return count, time.perf_counter() - began

    count, seconds = asyncio.run(turns())
    assert count >= 5, f"the event loop had {count} turns in {seconds:.2f} s"
