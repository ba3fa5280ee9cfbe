"""The sections, and what stands around every page."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from web.language import LANGUAGES
from web.pages import account, calls, home, models, progress, training
from web.theme import brand, dress, icon
from web.theme.menu import close_after_choice
from web.theme.posting import post_choice, post_now
from web.theme.wording import speak
from web.visit import Visit, visit

log = logging.getLogger("vnyatno.web")


def run() -> None:
    """Draw the page that the address names, for whoever looks at it."""
    seen = visit()
    st.set_page_config(page_title=seen.text("app_name"), page_icon=icon(), layout="centered")
    dress()
    brand(seen.text("app_name"))
    if seen.user is None and _from_provider(seen):
        return
    page = st.navigation(_sections(seen), position="top")
    with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        speak(seen.language)
        close_after_choice()
        post_choice(LANGUAGES, seen.language, "/account/language", "language", key="languages")
    try:
        page.run()
    except Exception:  # of any kind: people see a sentence, the log has the rest
        log.exception("the page %s failed", page.url_path or "/")
        st.error(seen.text("error_text"))


def _sections(seen: Visit) -> list[StreamlitPage]:
    front = st.Page(home.page, title=seen.text("nav_home"), url_path="about", default=seen.user is None)
    if seen.user is None:
        return [front, st.Page(models.page, title=seen.text("nav_models"), url_path="models")]
    return [
        st.Page(training.page, title=seen.text("nav_training"), url_path="training", default=True),
        st.Page(progress.page, title=seen.text("nav_progress"), url_path="progress"),
        st.Page(calls.page, title=seen.text("nav_calls"), url_path="calls"),
        st.Page(models.page, title=seen.text("nav_models"), url_path="models"),
        st.Page(account.page, title=seen.text("nav_account"), url_path="account"),
        front,
    ]


def _from_provider(seen: Visit) -> bool:
    """Sign in whom the OpenID Connect provider vouches for, or send on to it; whether this run is only for that."""
    if not seen.house.settings.oidc:
        return False
    if not st.user.is_logged_in:
        if "provider" in st.query_params:
            st.login()
            return True
        return False
    claims = st.user.to_dict()
    name = str(claims.get("preferred_username") or claims.get("name") or claims.get("email") or "")
    accounts = seen.house.accounts
    ticket = accounts.ticket_for(str(claims["iss"]), str(claims["sub"]), name, datetime.now(UTC))
    st.write(seen.text("sign_in_entering"))
    post_now("/account/enter", key="enter", ticket=ticket)
    return True
