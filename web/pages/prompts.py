"""The choice of the text to read, remembered while the visit lasts."""

from __future__ import annotations

import random
from typing import cast

import streamlit as st

from web.attempts import Prompt, recent_texts
from web.database import Attempt
from web.service.prediction import Card
from web.twisters import Twister, choose, languages
from web.twisters.collection import Difficulty, Length
from web.visit import Member

DIFFICULTIES: tuple[Difficulty, ...] = (1, 2, 3)
LENGTHS: tuple[Length, ...] = ("short", "middle", "long")
_TEXT, _WISH, _SEEN = "training_text", "training_wish", "training_seen"
_REMEMBERED = 60  # texts of this visit that do not come again


def language_of(card: Card | None, seen: Member) -> str:
    """The language to practise: the bundle's, or else the page's."""
    if card and card.language in languages():
        return card.language
    return seen.language if seen.language in languages() else languages()[0]


def sounds_of(card: Card | None, attempts: list[Attempt]) -> list[str]:
    """Letters that can be practised: the bundle's; while the service is away, those of earlier attempts."""
    if card:
        return card.letters
    return list(dict.fromkeys(sound for attempt in attempts for sound in attempt.sounds))


def ask(seen: Member, letters: list[str]) -> tuple[list[str], Difficulty, Length]:
    """The widgets for sounds, difficulty and length. No sound: a text for fluency."""
    sounds = st.pills(
        seen.text("training_sounds"),
        letters,
        selection_mode="multi",
        default=letters[:1],
        key="training_sounds",
        on_change=forget,
    )
    st.caption(seen.text("training_sounds_hint"))
    left, right = st.columns(2)
    difficulty = left.segmented_control(
        seen.text("training_difficulty"),
        DIFFICULTIES,
        default=1,
        required=True,
        format_func=lambda level: seen.text(f"difficulty_{level}"),
        key="training_difficulty",
        on_change=forget,
    )
    length = right.segmented_control(
        seen.text("training_length"),
        LENGTHS,
        default="short",
        required=True,
        format_func=lambda size: seen.text(f"length_{size}"),
        key="training_length",
        on_change=forget,
    )
    return list(sounds or []), difficulty or 1, length or "short"


def current(seen: Member, language: str, sounds: list[str], difficulty: Difficulty, length: Length) -> Twister:
    """The text to read: the same until `forget` is called. Not what the service answers changes it, or whether it does:
    somebody may be reading it aloud."""
    state = st.session_state
    if _TEXT not in state:
        shown: list[str] = state.get(_SEEN, [])
        recent = {*recent_texts(seen, language), *shown}
        state[_TEXT] = choose(language, sounds, difficulty, length, recent, random.Random())
        state[_WISH] = language, sounds
        state[_SEEN] = [*shown, state[_TEXT].id][-_REMEMBERED:]
    return cast(Twister, state[_TEXT])


def forget() -> None:
    """Let another text come: it was asked for, or another choice was made."""
    st.session_state.pop(_TEXT, None)


def prompt_of(twister: Twister) -> Prompt:
    """What is kept of the current text with the recording of it."""
    language, sounds = st.session_state[_WISH]
    return Prompt(twister.text, language, sounds, twister.difficulty)
