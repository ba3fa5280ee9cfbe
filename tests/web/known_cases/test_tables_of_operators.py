"""Tables of operators as people export them; names, days and encodings."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest

from web.calls.dates import read_day
from web.calls.people import TableError, Who, read_table, unmatched, whose

THIRD = date(2026, 11, 3)
TABLE = "имя файла;сотрудник;дата\nанна/й1.mp3;Вера;03.11.2026 14:05\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1251", "cp866", "koi8-r"])
@pytest.mark.parametrize("before", ["", "sep=;\r\n"])
def test_encodings_and_excels_hint(encoding: str, before: str) -> None:
    assert read_table((before + TABLE).encode(encoding)) == {"анна/й1.mp3": Who("Вера", THIRD)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff\ufeff", "\u200b"])
def test_delimiters_and_marks(delimiter: str, mark: str) -> None:
    assert read_table((mark + TABLE.replace(";", delimiter)).encode()) == {"анна/й1.mp3": Who("Вера", THIRD)}


@pytest.mark.parametrize(
    "header",
    [
        "file;operator;day",
        "Файл;Оператор;День",
        "FILENAME ; Agent;Date",
        "путь;ФИО;Дата звонка",
        "запись;менеджер;дата",
    ],
)
def test_names_of_columns(header: str) -> None:
    assert read_table(f"{header}\n1.mp3;Вера;3.11.2026\n".encode()) == {"1.mp3": Who("Вера", THIRD)}


@pytest.mark.parametrize(
    "cell",
    [
        "2026-11-03", "2026-11-03 14:05", "2026-11-03T14:05:06.123+03:00", "2026-11-03T11:05:06Z", "2026/11/3",
        "2026.11.03", "03.11.2026", "3.11.2026 9:05:01", "03.11.26", "03/11/2026 2:05 PM", "03-11-2026", "20261103",
        "20261103T140506", "20261103 1405", "3 ноября 2026 г.", "3 ноября 2026, 14:05", "3-ноя-2026", "3 Nov 2026",
        "November 3, 2026", "Nov. 3 2026 14:05", "3 ноябрь 2026", "46329", "46329,58",
    ],
)  # fmt: skip
def test_days_with_and_without_times(cell: str) -> None:
    assert read_day(cell) == THIRD


@pytest.mark.parametrize(
    "cell", ["yesterday", "11/25/2026", "2026-13-45", "31.02.2026", "1405", "3.11", "03.11.2026 x"]
)
def test_what_is_no_day_is_named_with_its_line(cell: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(f"file;day\n1.mp3;03.11.2026\n2.mp3;{cell}\n".encode())
    assert (caught.value.key, caught.value.values["line"]) == ("table_day", 3)


FILES = ["calls/анна/й1.mp3", "calls/анна/2.wav", "calls/bob/2.wav", "calls/bob/three.ogg"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (unicodedata.normalize("NFD", "анна/й1.mp3"), FILES[0]),
        ("АННА/Й1.MP3", FILES[0]),
        ("й1", FILES[0]),
        ("й1.wav", FILES[0]),
        ("C:\\записи\\calls\\bob\\2.wav", FILES[2]),
        ("/content/drive/bob/2.wav", FILES[2]),
        ("../calls/bob/THREE", FILES[3]),
    ],
)
def test_names_of_files(name: str, file: str) -> None:
    table = {name: Who("vera")}
    assert whose(FILES, table)[file].operator == "vera"
    assert unmatched(FILES, table) == []


def test_rows_that_match_nothing_are_counted() -> None:
    table = {name: Who("vera") for name in ("й1.mp3", "2.wav", "4.wav", "eve/three.ogg", "bob/й1.mp3")}
    assert unmatched(FILES, table) == ["2.wav", "4.wav", "bob/й1.mp3"]
    assert [who.operator for who in whose(FILES, table).values()] == ["vera", "анна", "bob", "vera"]


def test_a_whole_name_goes_before_an_end() -> None:
    table = {"a/1.wav": Who("vera"), "x/a/1.wav": Who("olga")}
    assert whose(["a/1.wav", "b/2.wav"], table)["a/1.wav"] == Who("vera")


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"PK\x03\x04rest", "table_broken"),
        (b"\xd0\xcf\x11\xe0rest", "table_workbook"),
        (b"fi\0le,oper\0ator\n", "table_encoding"),
        (b'file,operator\n"1.mp3"x,vera\n', "table_row"),
        ("фото;имя\n1.mp3;Вера\n".encode(), "table_columns"),
    ],
)
def test_what_cannot_be_used_says_why(data: bytes, key: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(data)
    assert caught.value.key == key
    assert caught.value.message("ru")
