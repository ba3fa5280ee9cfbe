"""On narrow screens Streamlit leaves its menu open over the page that was chosen in it."""

from __future__ import annotations

import streamlit as st

_SCRIPT = """
export default function () {
  const close = (event) => {
    if (!event.target.closest("[data-testid=stSidebarNavLink]")) return;
    // After Streamlit's own handler, which leads to the page.
    setTimeout(() => document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click());
  };
  document.addEventListener("click", close);
  return () => document.removeEventListener("click", close);
}
"""


def close_after_choice() -> None:
    """Let the menu close when a page is chosen. Where there is room, pages stand in a line and nothing closes."""
    st.components.v2.component("vnyatno.menu", html="<span></span>", js=_SCRIPT)(key="menu")
