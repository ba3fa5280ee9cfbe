"""The page of training: a text, a recording of it, and what was heard in it."""

from __future__ import annotations

from typing import cast

import streamlit as st
from streamlit.typing import UploadedFile

from web import attempts
from web.attempts import Prompt
from web.database import Attempt
from web.files import FileError
from web.language import number
from web.pages import prompts, verdict
from web.service import ServiceError
from web.service.prediction import Card, read_card
from web.theme.markdown import plain
from web.visit import Member, member

_ATTEMPT, _SENT, _ROUND, _CARD = "training_attempt", "training_sent", "training_round", "training_card"


def page() -> None:
    """Draw the page."""
    seen = member()
    st.title(seen.text("nav_training"), anchor=False)
    earlier = attempts.all_of(seen)
    card = _card(seen)
    sounds, difficulty, length = prompts.ask(seen, prompts.sounds_of(card, earlier))
    language = prompts.language_of(card, seen)
    twister = prompts.current(seen, language, sounds, difficulty, length)
    with st.container(border=True, key="prompt"):
        st.subheader(plain(twister.text), anchor=False)
        st.caption(seen.text("training_seconds", seconds=number(twister.seconds, seen.language, 0)))
    st.button(seen.text("training_another"), on_click=_another, key="another", icon=":material/refresh:")
    if twister.missing:
        st.caption(seen.text("training_missing", sounds=", ".join(twister.missing)))
    _record(seen, prompts.prompt_of(twister))
    attempt = attempts.find(seen, st.session_state[_ATTEMPT]) if _ATTEMPT in st.session_state else None
    if attempt:
        _result(seen, attempt, card)
    _waiting(seen)
    st.caption(seen.text("training_no_diagnosis"))


def _card(seen: Member) -> Card | None:
    """The bundle in service; while the service is away, the one that this visit last saw."""
    try:
        st.session_state[_CARD] = read_card(seen.service.model())
    except ServiceError as error:
        st.warning(plain(error.message(seen.language)))
        st.caption(seen.text("training_kept_meanwhile"))
    return cast("Card | None", st.session_state.get(_CARD))


def _another() -> None:
    prompts.forget()
    st.session_state.pop(_ATTEMPT, None)
    # New widgets, so that the recording of the text before is not taken for one of this.
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1


def _record(seen: Member, prompt: Prompt) -> None:
    """Take a recording from the microphone or a file; each is kept and sent once, however often the page is drawn."""
    turn = st.session_state.get(_ROUND, 0)
    spoken = st.audio_input(seen.text("training_record"), key=f"record_{turn}")
    with st.expander(seen.text("training_upload")):
        kinds = list(attempts.SUFFIXES)
        limit = -(-seen.house.settings.max_upload_bytes // 1_000_000)
        sent = st.file_uploader(seen.text("training_file"), kinds, key=f"upload_{turn}", max_upload_size=limit)
    for recording, suffix in ((spoken, "wav"), (sent, verdict.file_kind(sent.name) if sent else "")):
        if recording is not None:
            _take(seen, prompt, recording, suffix)


def _take(seen: Member, prompt: Prompt, recording: UploadedFile, suffix: str) -> None:
    done: list[str] = st.session_state.setdefault(_SENT, [])
    if recording.file_id in done:
        return
    try:
        kept = attempts.keep(seen, prompt, seen.sent(recording), suffix)
    except FileError as error:
        st.error(error.message(seen.language))
        return
    done.append(recording.file_id)
    seen.drop_sent(recording)
    st.session_state[_ATTEMPT] = kept
    _judge(seen, kept)


def _judge(seen: Member, attempt_id: int) -> bool:
    """Have a kept recording judged; whether it was."""
    try:
        with st.spinner(seen.text("training_listening")):
            attempts.judge(seen, attempt_id)
    except (ServiceError, FileError) as error:
        st.error(plain(error.message(seen.language)))
        return False
    return True


def _result(seen: Member, attempt: Attempt, card: Card | None) -> None:
    prediction = attempts.prediction_of(attempt)
    st.subheader(seen.text("training_result"), anchor=False)
    if prediction is None:
        st.info(seen.text("training_kept"))
        verdict.sound(seen, attempt, None, card, key=f"sound_{attempt.id}")
        return
    verdict.gauges(seen, prediction, card)
    verdict.sound(seen, attempt, prediction, card, key=f"sound_{attempt.id}_judged")
    if prediction.places:
        st.caption(seen.text("training_places_hint"))
    verdict.remarks(seen, prediction)
    st.info(seen.text(verdict.next_key(prediction, attempt.difficulty)), icon=":material/flag:")


def _waiting(seen: Member) -> None:
    """Recordings that were kept and not judged, to be sent again."""
    waiting = [attempt for attempt in attempts.all_of(seen) if not attempt.answer and attempt.audio]
    if not waiting:
        return
    with st.container(border=True, key="waiting"):
        st.markdown(seen.text("training_waiting", count=len(waiting)))
        for attempt in waiting[:5]:
            left, right = st.columns([3, 1], vertical_alignment="center")
            left.caption(plain(attempt.prompt))
            if right.button(seen.text("training_send_again"), key=f"again_{attempt.id}"):
                st.session_state[_ATTEMPT] = attempt.id
                if _judge(seen, attempt.id):
                    st.rerun()
