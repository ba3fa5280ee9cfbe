"""One archive: how far it is, and what was found in it."""

from __future__ import annotations

from functools import partial
from typing import cast

import streamlit as st

from web.calls import archives, shares
from web.calls.people import TABLE_TYPES, TableError
from web.calls.results import Call, defects_of
from web.calls.tables import csv_of, xlsx_of
from web.database import Batch
from web.files import FileError
from web.language import duration, moment, percent
from web.pages import call_list, verdict
from web.service import ServiceError
from web.service.prediction import Card
from web.theme import figures
from web.theme.markdown import plain
from web.visit import Member, member

_EVERY = 3.0  # seconds between two looks at how far an archive is
_ERROR, _CALLS = "archive_error", "archive_calls"
_FULL = ("too_many_batches", "quota_bytes")
_NAMED = 3  # rows of a table that a remark names
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def draw(seen: Member, row: Batch) -> None:
    """Draw it, whatever its state."""
    st.subheader(plain(row.name), anchor=False)
    st.caption(moment(row.created, seen.language, seen.zone))
    if row.state in (archives.KEPT, archives.REFUSED):
        _unsent(seen, row)
    elif row.state in archives.OPEN:
        st.fragment(_watch, run_every=_EVERY)(row.id)
    else:
        _ended(seen, row)


def send(seen: Member, archive_id: int) -> bool:
    """Send a kept archive; whether the service took it. Why not is told when the page is drawn next."""
    st.session_state.pop(_ERROR, None)
    try:
        with st.spinner(seen.text("archive_sending")):
            archives.send(seen, archive_id)
    except (ServiceError, FileError) as error:
        st.session_state[_ERROR] = archive_id, _told(seen, error)
        return False
    return True


def delete_button(seen: Member, row: Batch) -> bool:
    """Offer to delete an archive; whether it was."""
    with st.popover(seen.text("progress_delete"), icon=":material/delete:"):
        st.markdown(seen.text("archive_delete_hint"))
        if not st.button(seen.text("progress_delete_sure"), type="primary", key=f"archive_delete_{row.id}"):
            return False
    st.session_state.pop(_CALLS, None)
    archives.delete(seen, row.id)
    return True


def state_text(seen: Member, row: Batch) -> str:
    """The state of an archive, with the part that is done."""
    word = seen.text(f"archive_{row.state}")
    part = row.answer.get("progress")
    return f"{word}, {percent(part, seen.language)}" if row.state in archives.OPEN and part else word


def _told(seen: Member, error: ServiceError | FileError) -> str:
    if isinstance(error, ServiceError) and error.code in _FULL:
        return seen.text("archive_service_full")
    return error.message(seen.language)


def _unsent(seen: Member, row: Batch) -> None:
    kept_error = st.session_state.get(_ERROR)
    if row.state == archives.REFUSED:
        st.error(plain(seen.text("archive_refused_why", detail=row.answer.get("detail", ""))))
    elif kept_error and kept_error[0] == row.id:
        st.error(plain(kept_error[1]))
    st.info(seen.text("archive_lost" if row.answer.get("lost") else "archive_kept_why"))
    if row.archive and st.button(seen.text("training_send_again"), type="primary", key="archive_again"):
        send(seen, row.id)
        st.rerun()


def _watch(archive_id: int) -> None:
    """How far it is; a fragment, drawn again by itself, so it looks anew who is looking."""
    seen = member()
    try:
        row = archives.refresh(seen, archive_id)
    except (ServiceError, FileError) as error:
        st.warning(plain(error.message(seen.language)))
        found = archives.find(seen, archive_id)
        if found is None:
            return
        row = found
    if row.state not in archives.OPEN:
        st.rerun()
    status = archives.read_status(row.answer)
    files = status.files
    st.progress(status.progress, seen.text("archive_part", done=files.done + files.failed, total=files.total))
    known = status.seconds_left is not None
    left = seen.text("archive_left", time=duration(status.seconds_left or 0, seen.language)) if known else ""
    st.caption(left or seen.text("archive_left_unknown"))
    st.caption(seen.text("archive_may_leave"))
    if st.button(seen.text("archive_cancel"), key="archive_cancel"):
        try:
            archives.cancel(seen, archive_id)
        except ServiceError as error:
            st.error(plain(error.message(seen.language)))
            return
        st.rerun()


def _ended(seen: Member, row: Batch) -> None:
    try:
        row = archives.refresh(seen, row.id)
        calls, strangers = _calls(seen, row)
    except (ServiceError, FileError, TableError) as error:
        st.error(plain(error.message(seen.language)))
        st.info(seen.text("archive_results_later"))
        return
    if row.state == "cancelled":
        st.info(seen.text("archive_was_cancelled"))
    if strangers:
        some = ", ".join(strangers[:_NAMED])
        st.warning(plain(seen.text("archive_people_strangers", count=len(strangers), names=some)))
    judged = [call for call in calls if call.state == "done"]
    failed = [call for call in calls if call.state == "failed"]
    if judged:
        card = verdict.card_of(seen)
        _summary(seen, judged)
        _shares(seen, judged, card)
        _groups(seen, judged, card)
        call_list.draw(seen, row, judged, card)
        _downloads(seen, calls, card)
    elif not failed:
        st.info(seen.text("archive_empty"))
    _failures(seen, failed)
    _people(seen, row)


def _calls(seen: Member, row: Batch) -> tuple[list[Call], list[str]]:
    """The rows, and what the table of who spoke names besides; read once for as long as the files are the same."""
    mark = (row.results, row.people)
    if st.session_state.get(_CALLS, (None,))[0] != mark:
        calls = archives.calls_of(seen, row)
        st.session_state[_CALLS] = mark, (calls, archives.strangers(seen, row, calls))
    return cast(tuple[list[Call], list[str]], st.session_state[_CALLS][1])


def _summary(seen: Member, judged: list[Call]) -> None:
    sound = sum({call.line: call.seconds for call in judged}.values())
    count = seen.text("archive_count", count=len({call.line for call in judged}))
    st.caption(f"{count} · {duration(sound, seen.language)}")
    if not any(call.probabilities for call in judged):
        st.info(seen.text("archive_no_speech"))


def _shares(seen: Member, judged: list[Call], card: Card | None) -> None:
    rows = []
    for defect in defects_of(judged):
        name = verdict.name_of(card, defect, seen.language)
        found = shares.counts(judged, defect)
        rows += [(name, seen.text(f"verdict_{word}"), verdict.TONES[word], found[word]) for word in _WORDS]
    if rows:
        st.subheader(seen.text("archive_shares"), anchor=False)
        figures.stacked(rows, key="archive_shares")
        st.caption(seen.text("training_no_diagnosis"))


_WORDS = ("yes", "unsure", "no", "not_assessable")


def _groups(seen: Member, judged: list[Call], card: Card | None) -> None:
    defects = defects_of(judged)
    if not defects:
        return
    st.subheader(seen.text("archive_closer"), anchor=False)
    defect = st.segmented_control(
        seen.text("archive_defect"),
        defects,
        default=defects[0],
        required=True,
        format_func=lambda each: verdict.name_of(card, each, seen.language),
        key="archive_defect",
    )
    st.markdown(seen.text("archive_distribution"))
    figures.histogram(shares.histogram(judged, defect), seen.text("archive_axis_calls"), key="archive_histogram")
    by_operator = shares.grouped(judged, defect, shares.operator_of)
    by_day = shares.grouped(judged, defect, shares.day_of)
    for found, title, over_time in ((by_operator, "archive_by_operator", False), (by_day, "archive_by_day", True)):
        told = [group for group in found if group.share is not None]
        if told:
            st.markdown(seen.text(title))
            figures.groups(told[: call_list.MOST_GROUPS] if not over_time else told, over_time, key=title)
            if len(told) > call_list.MOST_GROUPS and not over_time:
                st.caption(seen.text("archive_more_in_table", count=len(told)))
    st.caption(seen.text("archive_interval" if by_operator or by_day else "archive_nobody"))


def _downloads(seen: Member, calls: list[Call], card: Card | None) -> None:
    name_of = partial(verdict.name_of, card, language=seen.language)
    with st.container(horizontal=True):
        for kind, mime, made in (("csv", "text/csv", csv_of), ("xlsx", _XLSX, xlsx_of)):
            st.download_button(
                seen.text(f"archive_{kind}"),
                partial(made, calls, seen.language, name_of),
                file_name=f"vnyatno-calls.{kind}",
                mime=mime,
                on_click="ignore",
                key=f"archive_download_{kind}",
            )


def _failures(seen: Member, failed: list[Call]) -> None:
    if not failed:
        return
    with st.expander(seen.text("archive_failures", count=len(failed))):
        for call in failed[: call_list.MOST_FAILURES]:
            st.markdown(f"{plain(call.file)}: {plain(call.detail or call.code)}")
        if len(failed) > call_list.MOST_FAILURES:
            st.caption(seen.text("archive_more_in_table", count=len(failed)))


def _people(seen: Member, row: Batch) -> None:
    with st.expander(seen.text("archive_people")):
        st.caption(seen.text("archive_people_hint"))
        sent = st.file_uploader(seen.text("archive_table"), TABLE_TYPES, key=f"archive_people_{row.people}")
        if sent is None or not st.button(seen.text("archive_people_use"), key="archive_people_use"):
            return
        try:
            archives.tell_people(seen, row.id, seen.sent_bytes(sent))
        except (FileError, TableError) as error:
            st.error(plain(error.message(seen.language)))
            return
        st.rerun()
