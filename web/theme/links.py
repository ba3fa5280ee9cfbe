"""A link to a page of this site that Streamlit does not draw. Streamlit's own opens another tab."""

from __future__ import annotations

from html import escape

import streamlit as st


def link(label: str, address: str, *, kind: str = "") -> None:
    """Draw a link that looks like a button. `address`: of this site; `kind`: `primary`, `danger` or nothing."""
    st.html(f'<a class="way {kind}" href="{escape(address)}">{escape(label)}</a>', width="content")
