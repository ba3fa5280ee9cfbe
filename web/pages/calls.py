"""The page `calls`."""

from __future__ import annotations

import streamlit as st

from web.visit import member


def page() -> None:
    """Draw the page."""
    seen = member()
    st.title(seen.text("nav_calls"))
    st.caption(seen.text("page_empty"))
