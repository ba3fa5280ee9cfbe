"""The shortest way through the application in a real browser on a narrow screen, with a stand-in for the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.conftest import Site
from tests.web.service import StubService

pytest.importorskip("playwright")

from tests.web.browsing import CHROMIUM, Visitor, chromium, clips, microphone

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")


def test_a_stranger_registers_speaks_and_reads_what_was_heard(site: Site, stub: StubService, tmp_path: Path) -> None:
    stub.reset()
    with chromium(microphone(clips(tmp_path, "burr", 1)[0], tmp_path / "voice.wav")) as browser:
        visitor = Visitor(browser, site.url, "ru", 390, tmp_path / "shots")
        visitor.open("/")
        visitor.says("app_claim")
        visitor.look("home")
        visitor.page.get_by_role("link", name=visitor.text("register_title")).click()
        visitor.look("register")
        visitor.register("Анна с узким экраном")
        visitor.record(2.5)
        visitor.says("training_result")
        visitor.look("training")
        visitor.leave()
    (sent,) = [asked for asked in stub.asked if asked.method == "POST"]
    assert b"RIFF" in sent.body
