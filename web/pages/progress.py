"""The page of progress: all attempts, how they change, and what to take along."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import streamlit as st

from web import attempts
from web.curves import Point, trend_of
from web.exports import Reader, Row, csv_of, defects_of, letters_of, pdf_of
from web.language import moment
from web.pages import verdict
from web.service.prediction import Card
from web.theme.chart import chart
from web.theme.markdown import plain
from web.visit import Member, member

PERIODS = (7, 30, 0)
"""Days to look back; 0: all."""
_PAGE = 10  # attempts listed at once


def page() -> None:
    """Draw the page."""
    seen = member()
    st.title(seen.text("nav_progress"), anchor=False)
    rows = [Row(attempt, attempts.prediction_of(attempt)) for attempt in attempts.all_of(seen)]
    if not rows:
        st.info(seen.text("progress_empty"))
        return
    card = verdict.card_of(seen)
    shown = _filtered(seen, rows)
    st.caption(seen.text("progress_count", count=len(shown)))
    if not shown:
        return
    _curves(seen, shown, card)
    _sides(seen, shown, card)
    _exports(seen, shown, card)
    _list(seen, shown, card)


def _filtered(seen: Member, rows: list[Row]) -> list[Row]:
    sounds = sorted({sound for row in rows for sound in row.attempt.sounds})
    left, right = st.columns(2)
    wanted = left.pills(seen.text("progress_sounds"), sounds, selection_mode="multi", key="progress_sounds")
    days = right.segmented_control(
        seen.text("progress_period"),
        PERIODS,
        default=0,
        required=True,
        format_func=lambda period: seen.text(f"period_{period}"),
        key="progress_period",
    )
    return chosen(rows, list(wanted or []), days or 0, datetime.now(UTC))


def chosen(rows: list[Row], sounds: list[str], days: int, now: datetime) -> list[Row]:
    """Those attempts at any of the sounds (none: all) of the last so many days (0: all)."""
    found = [row for row in rows if not sounds or set(sounds) & set(row.attempt.sounds)]
    return [row for row in found if not days or row.attempt.created >= now - timedelta(days=days)]


def points_of(rows: list[Row], defect: str) -> list[Point]:
    """The attempts in which a defect could be assessed, the earliest first."""
    points = []
    for row in reversed(rows):
        found = row.prediction
        if found and found.verdicts.get(defect, "not_assessable") != "not_assessable" and defect in found.defects:
            points.append(Point(row.attempt.created, found.defects[defect]))
    return points


def points_of_sound(rows: list[Row], letter: str) -> list[Point]:
    """The attempts in which a letter was scored, the earliest first: how probably it was said with a defect."""
    points = []
    for row in reversed(rows):
        if row.prediction and (score := row.prediction.scores.get(letter)) is not None:
            points.append(Point(row.attempt.created, 1.0 - score))
    return points


def _curves(seen: Member, rows: list[Row], card: Card | None) -> None:
    for defect in defects_of(rows):
        points = points_of(rows, defect)
        if not points:
            continue
        st.subheader(plain(verdict.name_of(card, defect, seen.language)), anchor=False)
        trend = trend_of(points)
        chart(points, trend, key=f"curve_{defect}")
        st.caption(seen.text(f"trend_{trend.direction}" if trend else "trend_too_few"))
    for letter in letters_of(rows):
        points = points_of_sound(rows, letter)
        st.subheader(plain(seen.text("progress_sound", letter=letter)), anchor=False)
        trend = trend_of(points)
        chart(points, trend, key=f"curve_sound_{letter}")
        st.caption(seen.text(f"trend_{trend.direction}" if trend else "trend_too_few"))
    if len({row.attempt.bundle for row in rows if row.prediction}) > 1:
        st.caption(seen.text("progress_several_models"))


def _sides(seen: Member, rows: list[Row], card: Card | None) -> None:
    judged = [row for row in rows if row.prediction]
    if len(judged) < 2:
        return
    for column, row, title in zip(st.columns(2), (judged[-1], judged[0]), ("first", "latest"), strict=True):
        with column.container(border=True, height="stretch", key=f"side_{title}"):
            st.subheader(seen.text(f"progress_{title}"), anchor=False)
            _one(seen, row, card, title)


def _one(seen: Member, row: Row, card: Card | None, key: str) -> None:
    st.caption(moment(row.attempt.created, seen.language, seen.zone))
    st.markdown(plain(row.attempt.prompt))
    if row.prediction:
        verdict.gauges(seen, row.prediction, card)
    verdict.sound(seen, row.attempt, row.prediction, card, key=f"sound_{key}_{row.attempt.id}")


def _exports(seen: Member, rows: list[Row], card: Card | None) -> None:
    reader = Reader(
        seen.user.name, seen.language, seen.zone, lambda defect: verdict.name_of(card, defect, seen.language)
    )
    with st.container(horizontal=True):
        for kind, mime, made in (("csv", "text/csv", csv_of), ("pdf", "application/pdf", pdf_of)):
            st.download_button(
                seen.text(f"export_{kind}"),
                partial(made, rows, reader),
                file_name=f"vnyatno.{kind}",
                mime=mime,
                on_click="ignore",
                key=f"export_{kind}",
            )


def _list(seen: Member, rows: list[Row], card: Card | None) -> None:
    st.subheader(seen.text("progress_attempts"), anchor=False)
    pages = -(-len(rows) // _PAGE)
    at = 1
    if pages > 1:
        at = int(st.number_input(seen.text("progress_page", count=pages), 1, pages, key="progress_page"))
    for row in rows[(at - 1) * _PAGE : at * _PAGE]:
        _entry(seen, row, card)
    with st.popover(seen.text("progress_delete_shown", count=len(rows)), icon=":material/delete:"):
        st.markdown(seen.text("progress_delete_hint"))
        if st.button(seen.text("progress_delete_sure"), type="primary", key="delete_shown"):
            attempts.delete(seen, [row.attempt.id for row in rows])
            st.rerun()


def _entry(seen: Member, row: Row, card: Card | None) -> None:
    attempt = row.attempt
    with st.container(border=True, key=f"entry_{attempt.id}"):
        st.markdown(plain(attempt.prompt))
        told = "" if row.prediction else f" · {seen.text('progress_not_judged')}"
        st.caption(moment(attempt.created, seen.language, seen.zone) + told)
        with st.container(horizontal=True, vertical_alignment="center"):
            # Only what is asked for is sent to the browser: ten recordings are megabytes.
            open_ = st.toggle(seen.text("progress_open"), key=f"open_{attempt.id}")
            with st.popover(seen.text("progress_delete"), icon=":material/delete:"):
                st.markdown(seen.text("progress_delete_hint"))
                if st.button(seen.text("progress_delete_sure"), type="primary", key=f"delete_{attempt.id}"):
                    attempts.delete(seen, [attempt.id])
                    st.rerun()
        if open_:
            if row.prediction:
                verdict.gauges(seen, row.prediction, card)
            verdict.sound(seen, attempt, row.prediction, card, key=f"sound_list_{attempt.id}")
