"""The page of one's account: password, sessions, leaving."""

from __future__ import annotations

import streamlit as st

from web.language import day
from web.theme.links import link
from web.theme.posting import post_button
from web.visit import member


def page() -> None:
    """Draw the page."""
    seen = member()
    st.title(seen.text("nav_account"), anchor=False)
    if st.query_params.get("done") == "password":
        st.success(seen.text("account_password_changed"))
    st.text(seen.text("account_signed_in_as", name=seen.user.name))
    st.caption(seen.text("account_since", day=day(seen.user.created, seen.language)))
    post_button(seen.text("account_sign_out"), "/account/sign-out", key="sign_out")

    st.subheader(seen.text("account_password_title"), anchor=False)
    if seen.user.password_hash is None:
        st.write(seen.text("account_no_password"))
    else:
        link(seen.text("account_password_button"), "/account/password")

    st.subheader(seen.text("account_sessions_title"), anchor=False)
    st.write(seen.text("account_sessions_hint"))
    post_button(seen.text("account_sign_out_everywhere"), "/account/sign-out", key="sign_out_all", everywhere="yes")

    st.subheader(seen.text("account_delete_title"), anchor=False)
    st.write(seen.text("account_delete_hint"))
    link(seen.text("account_delete_button"), "/account/delete", kind="danger")
