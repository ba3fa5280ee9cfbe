"""The page `models`: the service's API and its models, for strangers as well."""

from __future__ import annotations

import streamlit as st

from web.visit import visit


def page() -> None:
    """Draw the page."""
    seen = visit()
    st.title(seen.text("nav_models"))
    st.caption(seen.text("page_empty"))
