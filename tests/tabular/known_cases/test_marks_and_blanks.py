"""Byte order marks, invisible letters and blanks where programs and people leave them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tabular.delimited import DelimitedError, parse

TABLE = '"файл";метка\nа.mp3;1\n'


def recognised(header: Sequence[str]) -> int:
    return sum(cell.strip() in {"файл", "метка", "file", "text"} for cell in header)


@pytest.mark.parametrize("before", ["\ufeff", "\ufeff\ufeff", "\ufeff\ufeff\ufeff", "\u200b", "\ufeff\u200b", "ï»¿"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_marks_before_the_header(before: str, encoding: str) -> None:
    parsed = parse((before + TABLE).encode(encoding), recognised)
    assert (parsed.header, parsed.records[0].cells) == (("файл", "метка"), ("а.mp3", "1"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark(encoding: str) -> None:
    assert parse(TABLE.encode(encoding), recognised).header == ("файл", "метка")


def test_zero_bytes_in_text_are_not_taken_for_utf16() -> None:
    with pytest.raises(DelimitedError, match="zero bytes"):
        parse(b"file,la\0bel\na.wav,1\n", recognised)


@pytest.mark.parametrize("hint", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1251", "cp866"])
def test_excels_hint(hint: str, encoding: str) -> None:
    parsed = parse(f"{hint}\r\n{TABLE}".encode(encoding), recognised)
    assert (parsed.header, parsed.records[0].number) == (("файл", "метка"), 3)


@pytest.mark.parametrize(
    "line",
    [
        'a.wav, "one, two"',
        'a.wav,"one, two" ',
        'a.wav , "one, two"',
        ' "a.wav" ,\u00a0"one, two"',
        'a.wav,\t"one, two"\r',
    ],
)
def test_blanks_beside_quotes_are_no_part_of_a_cell(line: str) -> None:
    parsed = parse(f"file,text\n{line}\nb.wav,three\n".encode(), recognised)
    assert [tuple(map(str.strip, record.cells)) for record in parsed.records] == [
        ("a.wav", "one, two"),
        ("b.wav", "three"),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('a.wav, "so" he said', ' "so" he said'),
        ('a.wav, "so', ' "so'),
        ('a.wav,"he said, "" yes"", no"', 'he said, " yes", no'),
    ],
)
def test_quotes_that_are_text_stay_text(line: str, text: str) -> None:
    parsed = parse(f"file,text\n{line}\nb.wav,three\n".encode(), recognised)
    assert [record.cells for record in parsed.records] == [("a.wav", text), ("b.wav", "three")]
