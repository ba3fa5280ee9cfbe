"""A gauge from 0 to 1 with its figure and a word, as HTML."""

from __future__ import annotations

from html import escape

import streamlit as st

from web.theme import COLOURS


def meter(label: str, value: float, figure: str, word: str, tone: str) -> None:
    """Draw a gauge. `tone`: a key of `web.theme.COLOURS`; the word says what the colour does."""
    st.html(meter_html(label, value, figure, word, tone))


def meter_html(label: str, value: float, figure: str, word: str, tone: str) -> str:
    """The gauge, everything in it escaped."""
    share, colour = min(1.0, max(0.0, value)), COLOURS[tone]
    head = f'<strong>{escape(label)}</strong><span style="color:{colour}">{escape(word)} · {escape(figure)}</span>'
    told = f'role="meter" aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="1" aria-valuenow="{share:.3f}"'
    return (
        f'<div style="margin:.25rem 0">'
        f'<div style="display:flex;flex-wrap:wrap;justify-content:space-between">{head}</div>'
        f'<div {told} aria-valuetext="{escape(figure)}, {escape(word)}" style="height:.6rem;margin-top:.3rem;'
        f'overflow:hidden;border-radius:.3rem;background:{COLOURS["line"]}">'
        f'<div style="height:100%;width:{share:.1%};background:{colour}"></div></div></div>'
    )
