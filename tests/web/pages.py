"""Pages in Streamlit's own test harness: what tests of them share; the fixture `open_page` is in conftest."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from datetime import UTC, datetime

from streamlit.testing.v1 import AppTest

from tests.web.conftest import PASSWORD
from web.house import House
from web.visit import Member

Open = Callable[..., AppTest]


def register(here: House, name: str) -> str:
    return here.accounts.register(name, PASSWORD, "192.0.2.1", datetime.now(UTC))


def words(page: AppTest) -> str:
    assert not page.exception
    shown = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.text, *page.info, *page.success]
    return "\n".join(str(element.value) for element in shown)


def sound() -> bytes:
    """A second of a wav file."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    return made.getvalue()


def member(here: House, token: str, language: str = "en") -> Member:
    """The visit of whom a token belongs to."""
    user = here.accounts.user_of(token, datetime.now(UTC))
    assert user is not None
    return Member(here, user, language, None)
