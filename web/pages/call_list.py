"""Lists of an archive's calls: the worst, the best, all; each with its recording, played where a defect is heard."""

from __future__ import annotations

import streamlit as st

from web import attempts
from web.attempts import mime_of
from web.calls import archives, shares
from web.calls.results import Call
from web.database import Batch
from web.files import FileError
from web.language import day, duration, number, percent, text
from web.pages import verdict
from web.service import ServiceError
from web.service.prediction import Card
from web.theme.markdown import plain
from web.theme.waveform import Mark, waveform
from web.visit import Member

MOST_GROUPS = 40  # operators in one picture
MOST_FAILURES = 200  # that are listed; the table has all
_ENDS = 3  # calls at either end
_PAGE = 10  # calls listed at once


def draw(seen: Member, row: Batch, calls: list[Call], card: Card | None) -> None:
    """Draw the lists."""
    st.subheader(seen.text("call_title"), anchor=False)
    judged = [call for call in calls if shares.level(call) is not None]
    ends, everything = st.tabs([seen.text("call_ends"), seen.text("call_all")])
    with ends:
        worst = shares.ordered(judged, "worst")[: min(_ENDS, (len(judged) + 1) // 2)]
        best = shares.ordered(judged, "best")[: min(_ENDS, len(judged) // 2)]
        for name, some in (("worst", worst), ("best", best)):
            if some:
                st.markdown(seen.text(f"call_{name}"))
            for call in some:
                _entry(seen, row, call, card, name)
    with everything:
        _all(seen, row, calls, card)


def _all(seen: Member, row: Batch, calls: list[Call], card: Card | None) -> None:
    left, right = st.columns(2)
    wanted = left.text_input(seen.text("call_search"), key="call_search_text", icon=":material/search:")
    order = right.selectbox(
        seen.text("call_order"),
        shares.ORDERS,
        format_func=lambda each: seen.text(f"order_{each}"),
        key="call_order_by",
    )
    found = shares.ordered(shares.searched(calls, wanted or ""), order or "worst")
    st.caption(seen.text("call_count", count=len(found)))
    pages = -(-len(found) // _PAGE)
    at = 1
    if pages > 1:
        at = int(st.number_input(seen.text("progress_page", count=pages), 1, pages, key=f"call_page_{pages}"))
    for call in shares.paged(found, at, _PAGE):
        _entry(seen, row, call, card, "all")


def _entry(seen: Member, row: Batch, call: Call, card: Card | None, where: str) -> None:
    key = f"{where}_{row.id}_{call.line}_{call.side}"
    with st.container(border=True, key=f"call_box_{key}"):
        side = "" if call.side is None else f" · {seen.text('call_side', side=call.side + 1)}"
        st.markdown(f"**{plain(call.file)}**{side}")
        known = [plain(call.who.operator), day(call.who.day, seen.language) if call.who.day else ""]
        known += [duration(call.seconds, seen.language), *_heard(seen, call, card)]
        st.caption(" · ".join(part for part in known if part))
        # Only what is asked for is sent to the browser: recordings of calls are megabytes.
        if st.toggle(seen.text("progress_open"), key=f"call_open_{key}"):
            for defect, probability in call.probabilities.items():
                verdict.gauge(seen, card, defect, probability, call.words.get(defect, "not_assessable"))
            _play(seen, row, call, card, key)


def _heard(seen: Member, call: Call, card: Card | None) -> list[str]:
    """Each defect that is heard, or may be, with its probability."""
    told = []
    for defect, probability in call.probabilities.items():
        word = call.words.get(defect)
        if word in ("yes", "unsure"):
            name = plain(verdict.name_of(card, defect, seen.language))
            told.append(f"{name}: {seen.text(f'verdict_{word}')} ({percent(probability, seen.language)})")
    return told


def _play(seen: Member, row: Batch, call: Call, card: Card | None, key: str) -> None:
    try:
        audio = archives.audio_of(seen, row, call)
        spots = archives.spots(seen, row, call)
    except (FileError, ServiceError) as error:
        st.warning(plain(error.message(seen.language)))
        return
    marks = []
    for spot in spots:
        at = text("training_at", seen.language, value=number(spot.start, seen.language, 1))
        marks.append(Mark(spot.start, spot.end, f"{verdict.name_of(card, spot.defect, seen.language)} · {at}"))
    waveform(
        audio,
        mime_of(call.file),
        seen.text("call_recording"),
        f"call_sound_{key}",
        marks=marks,
        columns=attempts.PEAKS,
        channel=call.side or 0,
    )
    st.caption(seen.text("training_places_hint" if marks else "call_no_places"))
