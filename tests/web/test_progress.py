"""The page of progress: curves, filters, deletion, and what is taken along."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.web.pages import Open, member, register, sound, words
from tests.web.service import PREDICTION, StubService
from web import attempts
from web.curves import Point, trend_of
from web.database import Attempt
from web.exports import Reader, Row, cell, csv_of, letters_of, pdf_of
from web.house import House
from web.language import LANGUAGES, text
from web.pages.progress import chosen, points_of, points_of_sound
from web.theme.markdown import plain
from web.visit import Member

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOBODY = Reader("Анна =1+1", "ru", "Europe/Moscow", lambda defect: defect)


def row(
    days: float = 0,
    prompt: str = "Карл",
    burr: float = 0.88,
    sounds: tuple[str, ...] = ("р",),
    scores: tuple[tuple[str, float], ...] = (),
) -> Row:
    said = [{"letter": letter, "word": 0, "start": 0.0, "end": 0.1, "score": score} for letter, score in scores]
    answer = PREDICTION | {"predict_proba": [1 - burr, burr, 0.0, 0.0], "sounds": said}
    tried = Attempt(id=1, created=NOW - timedelta(days=days), prompt=prompt, sounds=list(sounds), answer=answer)
    tried.difficulty, tried.bundle, tried.language = 1, "defects-1", "ru"
    return Row(tried, attempts.prediction_of(tried))


def practise(seen: Member, times: int) -> list[int]:
    kept = [attempts.keep(seen, attempts.Prompt(f"Карл {at}", "ru", ["р"], 1), sound(), "wav") for at in range(times)]
    for each in kept:
        attempts.judge(seen, each)
    return kept


@pytest.mark.parametrize("language", LANGUAGES)
def test_attempts_curves_and_both_ends_are_shown(here: House, open_page: Open, language: str) -> None:
    token = register(here, "anna")
    assert text("progress_empty", language) in words(open_page(token, language, "progress"))
    practise(member(here, token), 6)
    shown = words(open_page(token, language, "progress"))
    for key in ("progress_first", "progress_latest", "trend_unclear", "progress_attempts"):
        assert text(key, language) in shown
    assert plain(text("progress_sound", language, letter="р")) in shown
    assert text("progress_count", language, count=6) in shown


def test_deleting_takes_the_recording_along(here: House, open_page: Open) -> None:
    token = register(here, "anna")
    seen = member(here, token)
    first, second = practise(seen, 2)
    page = open_page(token, "en", "progress")
    page.button(key=f"delete_{first}").click().run()
    assert [left.id for left in attempts.all_of(seen)] == [second]
    assert len(seen.files.names()) == 1
    assert text("progress_empty", "en") in words(page.button(key="delete_shown").click().run())
    assert seen.files.names() == []


def test_a_recording_without_an_answer_is_listed(here: House, open_page: Open, stub: StubService) -> None:
    token = register(here, "anna")
    attempts.keep(member(here, token), attempts.Prompt("*Карл*", "ru", ["р"], 1), sound(), "wav")
    stub.reply("GET", "/api/model", 502, b"")
    shown = words(open_page(token, "en", "progress"))
    assert text("progress_not_judged", "en") in shown
    assert r"\*Карл\*" in shown


def test_filters() -> None:
    rows = [row(0), row(10, sounds=("г",)), row(40)]
    assert chosen(rows, [], 0, NOW) == rows
    assert chosen(rows, ["р"], 0, NOW) == [rows[0], rows[2]]
    assert chosen(rows, [], 30, NOW) == rows[:2]


def test_what_could_not_be_assessed_is_no_point() -> None:
    assert points_of([row(0, burr=0.2), row(3, burr=0.7)], "burr") == [
        Point(NOW - timedelta(days=3), 0.7),
        Point(NOW, 0.2),
    ]
    assert points_of([row()], "fricative_g") == []


def test_progress_is_told_by_sound() -> None:
    rows = [row(0), row(1, scores=(("р", 0.9),)), row(3, scores=(("р", 0.25), ("г", 0.5), ("р", 0.5)))]
    assert letters_of(rows) == ["г", "р"]
    found = points_of_sound(rows, "р")
    assert [point.when for point in found] == [NOW - timedelta(days=3), NOW - timedelta(days=1)]
    assert [point.value for point in found] == pytest.approx([0.625, 0.1])
    assert points_of_sound(rows[:1], "р") == []


def test_a_change_is_named_where_there_is_one() -> None:
    draw = np.random.default_rng(0)
    values = [0.9 - 0.06 * day + draw.normal(0, 0.03) for day in range(12)]
    falling = [Point(NOW + timedelta(days=day), value) for day, value in enumerate(values)]
    trend = trend_of(falling)
    assert trend is not None
    assert trend.direction == "falling"
    assert all(0 <= at.low <= at.middle <= at.high <= 1 for at in trend.points)
    assert trend_of(falling[:4]) is None
    assert trend_of([Point(NOW, 0.5)] * 8) is None


def test_band_and_direction_err_as_often_as_they_say() -> None:
    draw = np.random.default_rng(1)
    days = [NOW + timedelta(days=day) for day in range(8)]
    trends = [trend_of([Point(day, 0.5 + draw.normal(0, 0.05)) for day in days]) for _ in range(400)]
    held = [trend.points[-1].low <= 0.5 <= trend.points[-1].high for trend in trends if trend]
    wrong = [trend.direction != "unclear" for trend in trends if trend]
    assert len(held) == 400
    assert 0.92 <= np.mean(held) <= 0.98
    assert 0.02 <= np.mean(wrong) <= 0.08


@pytest.mark.parametrize("sly", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1"])
def test_no_cell_is_a_formula(sly: str) -> None:
    assert cell(sly).startswith("'")
    lines = list(csv.reader(io.StringIO(csv_of([row(prompt=sly)], NOBODY).decode("utf-8-sig"), newline="")))
    assert lines[1][1] == f"'{sly}"


def test_the_table_has_figures_only_where_there_are_some() -> None:
    unjudged = Row(row().attempt, None)
    lines = list(csv.reader(io.StringIO(csv_of([row(), unjudged], NOBODY).decode("utf-8-sig"))))
    assert lines[0][4:6] == ["burr", "burr, вывод"]
    assert lines[1][1:] == ["Карл", "1", "defects-1", "0.8800", "слышно", "", "не оценить", "0.0000", "не слышно"]
    assert lines[2][4:] == [""] * 6


def test_the_table_has_a_column_for_each_letter_that_was_scored() -> None:
    rows = [row(scores=(("р", 0.25), ("р", 0.5), ("г", 0.9))), row(scores=(("р", 0.1),)), Row(row().attempt, None)]
    lines = list(csv.reader(io.StringIO(csv_of(rows, NOBODY).decode("utf-8-sig"))))
    assert lines[0][-2:] == ["г, произнесена хорошо", "р, произнесена хорошо"]
    assert [line[-2:] for line in lines[1:]] == [["0.9000", "0.3750"], ["", "0.1000"], ["", ""]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_is_a_pdf_with_its_own_letters(language: str) -> None:
    made = pdf_of([row(day) for day in range(40)], Reader("Анна", language, None, lambda defect: defect))
    assert made.startswith(b"%PDF-")
    assert b"DejaVu" in made
    assert made.count(b"/Type /Page\n") >= 2
