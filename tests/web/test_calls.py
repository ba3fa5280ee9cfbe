"""Figures of calls: who spoke, shares, order, tables, and recordings inside of a zip."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import date
from pathlib import Path

import pytest

from tests.finder import GIGABYTE, finders_zip
from tests.web.archives import NAMES, archive, record, results
from tests.web.pages import sound
from web.calls import shares
from web.calls.members import read_member
from web.calls.people import TableError, Who, read_table, who_of, whose
from web.calls.results import Call, Spot, read_calls, spots_of, with_who
from web.calls.tables import csv_of, xlsx_of
from web.files import FileError
from web.service import OddAnswer


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


@pytest.fixture
def calls() -> list[Call]:
    found = read_calls(lines(results()))
    return with_who(found, whose((call.file for call in found), {}))


@pytest.mark.parametrize(
    ("name", "operator", "day"),
    [
        ("anna/2026-11-03 17.mp3", "anna", date(2026, 11, 3)),
        ("anna_20261103_17.wav", "anna", date(2026, 11, 3)),
        ("2026-11-03/Анна Петрова/17.wav", "Анна Петрова", date(2026, 11, 3)),
        ("Анна 03.11.2026.ogg", "Анна", date(2026, 11, 3)),
        ("2026-13-45/17.wav", "", None),
        ("call-1234567890.wav", "", None),
        ("17_20261103.wav", "", date(2026, 11, 3)),
    ],
)
def test_who_by_the_name(name: str, operator: str, day: date | None) -> None:
    assert who_of(name).day == day
    if operator or day:
        assert who_of(name).operator == operator


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1251"])
def test_a_table_goes_before_the_name(encoding: str) -> None:
    table = read_table("Оператор;файл;День\nВера;calls/anna/1.wav;03.11.2026\n;2.wav;\n\n".encode(encoding))
    found = whose(["calls/anna/1.wav", "calls/bob/2.wav"], table)
    assert found["calls/anna/1.wav"] == Who("Вера", date(2026, 11, 3))
    assert found["calls/bob/2.wav"] == Who("bob")


def test_a_last_part_that_two_files_have_names_neither() -> None:
    found = whose(["a/1.wav", "b/1.wav"], {"1.wav": Who("vera")})
    assert [found[name].operator for name in ("a/1.wav", "b/1.wav")] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"name,operator\n1,2\n", "table_columns"),
        (b"", "table_columns"),
        (b"file,day\n1.wav,yesterday\n", "table_day"),
        (b"file,day\n,2026-11-03\n", "table_row"),
        (b"\xff\x98", "table_encoding"),
        (b'file,day\n"' + b"x" * 200_000 + b'",\n', "table_row"),
    ],
)
def test_a_table_that_is_none(data: bytes, key: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(data)
    assert caught.value.key == key
    assert caught.value.message("ru") != caught.value.message("en")


def test_results_are_rows_by_side() -> None:
    two = record("a.wav", 0.9, side=0)
    two["verdicts"].append(record("a.wav", 0.1, "no", side=1)["verdicts"][0])
    silent = record("b.wav", 0.0)
    silent["verdicts"][0] |= {"classes": [], "probabilities": [], "words": {}}
    found = read_calls(lines(results([two, silent])))
    assert [(call.line, call.side, call.assessed("burr")) for call in found] == [
        (0, 0, 0.9),
        (0, 1, 0.1),
        (1, None, None),
    ]
    assert found[0].assessed("fricative_g") is None  # a probability that means nothing is no figure


@pytest.mark.parametrize("line", [b"<html>", b"[1]", b'{"file": 1}', b'{"file": "a", "state": "odd"}'])
def test_odd_results(line: bytes) -> None:
    with pytest.raises(OddAnswer, match="line 1"):
        read_calls([line])


def test_spots_are_of_the_call_and_the_side() -> None:
    data = lines(results([record("a.wav", 0.9, side=0), record("b.wav", 0.5, side=1)]))
    assert spots_of(data, 1, 1) == [Spot("burr", 0.42, 0.52, 0.3)]
    assert spots_of(data, 1, 0) == []
    bare = record("c.wav", 0.9)
    bare["windows"][0]["places"] = []
    assert spots_of(lines(results([bare])), 0, None) == [Spot("burr", 0.0, 1.0, 0.0)]


def test_shares(calls: list[Call]) -> None:
    assert shares.counts(calls, "burr") == {"yes": 1, "no": 1, "unsure": 1, "not_assessable": 0}
    assert shares.counts(calls, "fricative_g")["not_assessable"] == 3
    assert shares.histogram(calls, "burr") == [0, 0, 1, 0, 0, 1, 0, 0, 0, 1]
    assert sum(shares.histogram(calls, "fricative_g")) == 0
    anna = shares.grouped(calls, "burr", shares.operator_of)[1]
    assert (anna.name, anna.calls, anna.heard, anna.share) == ("anna", 2, 1, 0.5)
    assert shares.grouped(calls, "fricative_g", shares.operator_of)[1].share is None
    assert [group.name for group in shares.grouped(calls, "burr", shares.day_of)] == ["2026-11-03", "2026-11-04"]


def test_wilsons_interval() -> None:
    low, high = shares.wilson(1, 10)
    assert (round(low, 4), round(high, 4)) == (0.0179, 0.4042)
    assert shares.wilson(0, 3)[0] == 0.0


def test_search_order_and_pages(calls: list[Call]) -> None:
    assert [call.file for call in shares.searched(calls, "ANNA 11-04")] == [NAMES[1]]
    worst = [call.file for call in shares.ordered(calls, "worst", "burr")]
    assert worst == [NAMES[0], NAMES[2], NAMES[1], NAMES[3]]
    assert shares.ordered(calls, "best", "burr")[0].file == NAMES[1]
    assert shares.ordered(calls, "best")[-1].file == NAMES[3]  # not judged: last in either order
    for order in shares.ORDERS:
        assert len(shares.ordered(calls, order)) == 4
    assert [call.file for call in shares.paged(calls, 2, 3)] == [NAMES[3]]


@pytest.mark.parametrize("language", ["ru", "en"])
def test_no_cell_is_a_formula(language: str) -> None:
    sly = ["=1+1", "＝1+1", " +A1", "@x", "\t=1", "-1", "\ud800"]
    calls = with_who(read_calls(lines(results([record(name, 0.5) for name in sly]))), dict.fromkeys(sly, Who("=2")))
    rows = list(csv.reader(io.StringIO(csv_of(calls, language, lambda _: "=3").decode("utf-8-sig"))))
    assert len(rows) == 8
    assert [cell for row in rows for cell in row if cell.lstrip().startswith(("=", "+", "-", "@", "＝"))] == []
    with zipfile.ZipFile(io.BytesIO(xlsx_of(calls, language, lambda _: "=3"))) as book:
        assert "<f>" not in book.read("xl/worksheets/sheet1.xml").decode()
        strings = book.read("xl/sharedStrings.xml").decode()
    assert "'=1+1" in strings
    assert "<t>=" not in strings


def test_a_call_that_could_not_be_told_has_no_figure(calls: list[Call]) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of(calls, "en", str).decode("utf-8-sig"))))
    assert rows[0]["burr"] == "0.9"
    assert (rows[0]["fricative_g"], rows[0]["fricative_g, verdict"]) == ("", "not assessable")
    assert (rows[3]["state"], rows[3]["burr"], rows[3]["seconds"]) == ("not judged", "", "")


def put(folder: Path, data: bytes) -> Path:
    path = folder / "a.zip"
    path.write_bytes(data)
    return path


def test_members_are_found_by_name(tmp_path: Path) -> None:
    path = put(tmp_path, archive().getvalue())
    assert read_member(path, NAMES[2], 100_000) == sound()
    with pytest.raises(FileError, match="file_not_found"):
        read_member(path, "calls/none.wav", 100_000)


@pytest.mark.parametrize("encoding", ["cp866", "utf-8"])
def test_names_of_old_packers(tmp_path: Path, encoding: str) -> None:
    name = "Анна".encode(encoding)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr("X" * len(name) + "\\1.wav", b"sound")
    assert read_member(put(tmp_path, made.getvalue().replace(b"X" * len(name), name)), "Анна/1.wav", 10) == b"sound"


def test_a_name_that_is_two_entries_is_the_first_ones_as_in_the_service(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr("anna/1.wav", b"first")
        zipped.writestr("anna//1.wav", b"second")
    assert read_member(put(tmp_path, made.getvalue()), "anna/1.wav", 10) == b"first"


def test_recordings_of_zips_of_more_than_four_gigabytes_that_finder_packed(tmp_path: Path) -> None:
    path = finders_zip(tmp_path / "a.zip", [GIGABYTE] * 5)
    assert read_member(path, "calls/5.wav", 10) == b"last"
    with pytest.raises(FileError, match="file_too_large_to_play"):
        read_member(path, "calls/4.wav", 1_000)


def test_members_that_are_too_large_or_broken(tmp_path: Path) -> None:
    path = put(tmp_path, archive().getvalue())
    with pytest.raises(FileError, match="file_too_large_to_play"):
        read_member(path, NAMES[0], len(sound()) - 1)
    broken = bytearray(archive().getvalue())
    broken[60:70] = b"0123456789"
    for data in (bytes(broken), b"no zip", archive().getvalue()[:-30]):
        with pytest.raises(FileError, match="file_damaged"):
            read_member(put(tmp_path, data), NAMES[0], 100_000)
    path.unlink()
    with pytest.raises(FileError, match="file_not_found"):
        read_member(path, NAMES[0], 100_000)
