"""Pages in Streamlit's own test harness, for strangers and for two people at once."""

from __future__ import annotations

import pytest

from tests.web.pages import Open, register, words
from web.house import House
from web.language import LANGUAGES, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stranger_reads_what_this_is_and_is_not(open_page: Open, language: str) -> None:
    shown = words(open_page(language=language))
    for key in ("app_claim", "landing_what", "landing_no_diagnosis", "landing_privacy"):
        assert text(key, language) in shown


@pytest.mark.parametrize("page", ["training", "progress", "calls", "account"])
def test_a_stranger_is_told_to_sign_in(open_page: Open, page: str) -> None:
    for token in ("", "invented"):
        assert words(open_page(token, page=page)) == text("page_needs_account", "en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", ["training", "progress", "calls", "models", "account"])
def test_a_member_sees_every_page_in_each_language(here: House, open_page: Open, page: str, language: str) -> None:
    shown = words(open_page(register(here, "anna"), language, page))
    assert text(f"nav_{page}", language) in shown


def test_each_sees_the_own_account(here: House, open_page: Open) -> None:
    anna, boris = register(here, "anna"), register(here, "boris")
    shown = words(open_page(anna, page="account"))
    assert "anna" in shown
    assert "boris" not in shown
    assert "boris" in words(open_page(boris, page="account"))


def test_an_open_page_is_a_strangers_once_the_session_has_ended(here: House, open_page: Open) -> None:
    token = register(here, "anna")
    page = open_page(token, page="account")
    assert "anna" in words(page)
    here.accounts.sign_out(token)
    assert words(page.run()) == text("page_needs_account", "en")
