"""The page `progress`."""

from __future__ import annotations

import streamlit as st

from web.visit import member


def page() -> None:
    """Draw the page."""
    seen = member()
    st.title(seen.text("nav_progress"))
    st.caption(seen.text("page_empty"))
