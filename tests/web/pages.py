"""Pages in Streamlit's own test harness: what tests of them share; the fixture `open_page` is in conftest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from streamlit.testing.v1 import AppTest

from tests.web.conftest import PASSWORD
from web.house import House

Open = Callable[..., AppTest]


def register(here: House, name: str) -> str:
    return here.accounts.register(name, PASSWORD, "192.0.2.1", datetime.now(UTC))


def words(page: AppTest) -> str:
    assert not page.exception
    shown = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.text, *page.info, *page.success]
    return "\n".join(str(element.value) for element in shown)
