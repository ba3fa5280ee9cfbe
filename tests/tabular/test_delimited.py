"""Encodings, delimiters and damage of delimited text."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tabular.delimited import DelimitedError, decode_text, parse

KNOWN = {"file", "label", "файл", "метка"}
TEXT = "файл;метка;текст\nа.mp3;картавость;Съешь ещё этих мягких булок\n"


def recognised(header: Sequence[str]) -> int:
    return sum(cell.strip().casefold() in KNOWN for cell in header)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("cp1251", "cp1251"),
        ("cp866", "cp866"),
        ("koi8-r", "koi8-r"),
    ],
)
def test_encodings_of_russian_tables(encoding: str, name: str) -> None:
    assert decode_text(TEXT.encode(encoding)) == (TEXT, name)


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp866"])
def test_capital_letters_do_not_mislead(encoding: str) -> None:
    assert decode_text(TEXT.upper().encode(encoding)) == (TEXT.upper(), encoding)


def test_a_few_damaged_bytes_are_named_and_not_read_as_another_encoding() -> None:
    with pytest.raises(DelimitedError, match=r"line 3 .*UTF-8"):
        decode_text((TEXT + "б.mp3").encode() + b"\xff;1\n" + TEXT.encode())


@pytest.mark.parametrize("data", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest"])
def test_a_spreadsheet_is_named(data: bytes) -> None:
    with pytest.raises(DelimitedError, match=r"spreadsheet.*CSV"):
        decode_text(data)


def test_zero_bytes_are_no_text() -> None:
    with pytest.raises(DelimitedError, match="zero bytes"):
        decode_text(b"fi\0le")


@pytest.mark.parametrize("data", [b"", b"\n \n", b",,,\n"])
def test_nothing_in_it(data: bytes) -> None:
    with pytest.raises(DelimitedError, match="empty"):
        parse(data, recognised)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    parsed = parse(TEXT.replace(";", delimiter).encode(), recognised)
    assert parsed.delimiter == delimiter
    assert parsed.header == ("файл", "метка", "текст")
    assert parsed.records[0].cells[1] == "картавость"


def test_commas_in_text_do_not_outweigh_known_columns() -> None:
    lines = ["file;label;comment, remark, note", *(f"{n}.wav;none;one, two, three" for n in range(20))]
    assert parse("\n".join(lines).encode(), recognised).delimiter == ";"


def test_a_column_alone() -> None:
    assert parse(b"file\na.wav\n", recognised).header == ("file",)


def test_excels_separator_line_is_no_record() -> None:
    parsed = parse(b"sep=|\r\nfile|label\r\na.wav|1\r\n", recognised)
    assert (parsed.delimiter, parsed.header) == ("|", ("file", "label"))
    assert parsed.records[0].number == 3


def test_records_are_numbered_as_a_spreadsheet_numbers_them() -> None:
    parsed = parse(b'file,label\na.wav,"two\nlines"\n\n,\nb.wav,none\n', recognised)
    assert [(record.number, record.cells[0]) for record in parsed.records] == [(2, "a.wav"), (5, "b.wav")]


def test_quotes_that_do_not_match_cost_one_record() -> None:
    parsed = parse(b'file,label\n"a.wav"x,none\nb.wav,none\n', recognised)
    assert parsed.records[0].error
    assert parsed.records[1].cells == ("b.wav", "none")


def test_a_quote_that_never_closes_swallows_the_rest_and_is_an_error() -> None:
    with pytest.raises(DelimitedError, match="row 3 never closes"):
        parse(b'file,label\na.wav,none\n"b.wav,none\nc.wav,none\n', recognised)
