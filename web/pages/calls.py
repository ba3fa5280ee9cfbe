"""The page of calls: an archive to send, those that were, and one of them opened."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from web.calls import archives
from web.calls.people import TABLE_TYPES, TableError
from web.database import Batch
from web.files import FileError
from web.language import moment, size
from web.pages import archive
from web.service import ServiceError
from web.theme.markdown import plain
from web.visit import Member, member

OPENED = "archive"
"""The query parameter that names the archive that is shown: a page that is loaded again shows the same one."""
_ROUND = "archive_round"


def page() -> None:
    """Draw the page."""
    seen = member()
    seen.house.discards.sweep_soon()
    st.title(seen.text("nav_calls"), anchor=False)
    wanted = st.query_params.get(OPENED, "")
    if not wanted:
        _upload(seen)
        _list(seen)
        return
    if st.button(seen.text("archive_all"), key="archive_all", icon=":material/arrow_back:"):
        del st.query_params[OPENED]
        st.rerun()
    row = archives.find(seen, int(wanted)) if wanted.isdecimal() and len(wanted) < 10 else None
    if row is None:
        st.warning(seen.text("archive_missing"))
        return
    archive.draw(seen, row)
    if archive.delete_button(seen, row):
        del st.query_params[OPENED]
        st.rerun()


def _upload(seen: Member) -> None:
    turn = st.session_state.get(_ROUND, 0)
    limit = -(-seen.house.settings.max_archive_bytes // 1_000_000)
    st.write(seen.text("archive_what"))
    sent = st.file_uploader(seen.text("archive_file"), ["zip"], key=f"archive_file_{turn}", max_upload_size=limit)
    room = seen.files.room()
    if sent is None and room < seen.house.settings.max_archive_bytes:
        st.caption(seen.text("archive_room", size=size(room, seen.language)))
    sides = st.checkbox(seen.text("archive_sides"), help=seen.text("archive_sides_hint"), key=f"archive_sides_{turn}")
    with st.expander(seen.text("archive_people")):
        st.caption(seen.text("archive_people_hint"))
        table = st.file_uploader(
            seen.text("archive_table"), TABLE_TYPES, key=f"archive_table_{turn}", max_upload_size=25
        )
    if not st.button(seen.text("archive_start"), type="primary", disabled=sent is None, key="archive_start"):
        return
    if sent is None:
        return
    try:
        kept = archives.keep(seen, seen.sent(sent), sent.name, sides, seen.sent_bytes(table) if table else None)
    except (FileError, TableError) as error:
        st.error(plain(error.message(seen.language)))
        return
    st.session_state[_ROUND] = turn + 1  # empty uploaders
    for taken in filter(None, (sent, table)):
        seen.drop_sent(taken)
    archive.send(seen, kept)
    st.query_params[OPENED] = str(kept)
    st.rerun()


def _list(seen: Member) -> None:
    rows = _current(seen, archives.all_of(seen))
    st.subheader(seen.text("archive_list"), anchor=False)
    if not rows:
        st.caption(seen.text("archive_none"))
    for row in rows:
        with st.container(border=True, key=f"archive_box_{row.id}"):
            st.markdown(f"**{plain(row.name)}**")
            st.caption(f"{moment(row.created, seen.language, seen.zone)} · {archive.state_text(seen, row)}")
            with st.container(horizontal=True, vertical_alignment="center"):
                if st.button(seen.text("archive_open"), key=f"archive_open_{row.id}"):
                    st.query_params[OPENED] = str(row.id)
                    st.rerun()
                if archive.delete_button(seen, row):
                    st.rerun()


def _current(seen: Member, rows: list[Batch]) -> list[Batch]:
    """The archives as the service has them now. Where it does not answer, the rest is shown as it was known: the
    archive's own page tells why."""
    with suppress(ServiceError, FileError):
        for at, row in enumerate(rows):
            if row.state in archives.OPEN:
                rows[at] = archives.refresh(seen, row.id)
    return rows
