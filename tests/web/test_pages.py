"""Pages in Streamlit's own test harness, for strangers and for two people at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from streamlit.testing.v1 import AppTest

from tests.web.conftest import PASSWORD
from web import cookies, visit
from web.house import House
from web.language import LANGUAGES, text
from web.server import SCRIPT

Open = Callable[..., AppTest]


@pytest.fixture
def open_page(here: House, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the application with the cookies that a browser would send; `page`: a module of `web.pages`."""

    def opened(token: str = "", language: str = "en", page: str = "") -> AppTest:
        sent = {cookies.SESSION: token, cookies.LANGUAGE: language}
        monkeypatch.setattr(visit, "house", lambda: here)
        monkeypatch.setattr(visit, "cookie", sent.get)
        if page:
            return AppTest.from_string(f"from web.pages import {page}\n{page}.page()", default_timeout=20).run()
        return AppTest.from_file(str(SCRIPT), default_timeout=20).run()

    return opened


def register(here: House, name: str) -> str:
    return here.accounts.register(name, PASSWORD, "192.0.2.1", datetime.now(UTC))


def words(page: AppTest) -> str:
    assert not page.exception
    shown = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.text, *page.info, *page.success]
    return "\n".join(str(element.value) for element in shown)


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
