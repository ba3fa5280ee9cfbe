"""The front page: what this is, and what it is not."""

from __future__ import annotations

import streamlit as st

from web.theme.links import link
from web.visit import visit

_PARTS = (
    ("training", ":material/record_voice_over:", "landing_train_title", "landing_train"),
    ("progress", ":material/trending_up:", "landing_progress_title", "landing_progress"),
    ("calls", ":material/call:", "landing_calls_title", "landing_calls"),
)


def page() -> None:
    """Draw the page."""
    seen = visit()
    st.title(seen.text("app_claim"))
    st.write(seen.text("landing_what"))
    if seen.user is None:
        with st.container(horizontal=True):
            if seen.house.settings.registration:
                link(seen.text("register_title"), "/account/register", kind="primary")
            link(seen.text("sign_in_button"), "/account/sign-in")
    for column, (name, icon, title, body) in zip(st.columns(3), _PARTS, strict=True):
        with column.container(border=True, height="stretch", key=f"part_{name}"):
            st.subheader(f"{icon} {seen.text(title)}", anchor=False)
            st.write(seen.text(body))
    st.info(seen.text("landing_no_diagnosis"), icon=":material/info:")
    st.caption(seen.text("landing_privacy"))
