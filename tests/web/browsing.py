"""Chromium as somebody's browser, with a microphone that plays a recording, and what is demanded of every page.

A page fits its width, has a name on every control and enough contrast (axe-core, WCAG 2.2 AA), speaks its language,
logs no error and asks no host but ours.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Download,
    Locator,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from tests.web.conftest import PASSWORD, ROOT
from web.language import text

CHROMIUM = shutil.which("chromium")
WIDTHS = (390, 1440)
_HEIGHTS = {390: 844, 1440: 900}
_LOCALES = {"ru": "ru-RU", "en": "en-GB"}
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
_PROBE = re.compile(r"/[^_].*/_stcore/(health|host-config)")
_RUN = "[data-testid=stApp][data-test-script-state=notRunning]"
_FOCUSED = """() => {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return (node?.getAttribute("aria-label") || node?.labels?.[0]?.textContent || node?.textContent || "").trim();
}"""
_TOO_WIDE = """() => [document.documentElement, document.querySelector("[data-testid=stMain]")]
  .some((box) => box && box.scrollWidth > box.clientWidth)"""
_HEIGHT = "() => document.querySelector('[data-testid=stMain]')?.scrollHeight ?? document.body.scrollHeight"

expect.set_options(timeout=30_000)  # seconds where the machine has nothing else to do


def clips(folder: Path, label: str, most: int) -> list[Path]:
    """Recordings of one class of the sample archive."""
    with zipfile.ZipFile(ROOT / "samples" / "mini.zip") as archive:
        rows = csv.DictReader(io.StringIO(archive.read("data_train.csv").decode("utf-8-sig")))
        wanted = {Path(row["file"]).name for row in rows if row["label"] == label}
        names = [name for name in archive.namelist() if Path(name).name in wanted][:most]
        return [Path(archive.extract(name, folder)) for name in names]


def microphone(clip: Path, target: Path) -> Path:
    """A recording as Chromium's microphone takes it."""
    samples, rate = soundfile.read(clip, dtype="int16")
    soundfile.write(target, samples, rate, subtype="PCM_16")
    return target


@contextmanager
def chromium(heard: Path) -> Iterator[Browser]:
    """A browser whose microphone plays a wav file over and over."""
    options = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Visitor:
    """One person with a browser of one width, in one language."""

    def __init__(self, browser: Browser, url: str, language: str, width: int, shots: Path) -> None:
        self.url, self.language, self.width = url, language, width
        self.wrong: list[str] = []
        self._shots = Path(os.environ.get("VNYATNO_SHOTS") or shots)
        size = {"width": width, "height": _HEIGHTS[width]}
        self._context = browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            locale=_LOCALES[language],
            timezone_id="Europe/Moscow",
            permissions=["microphone"],
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(60_000)
        self.page: Page = self._context.new_page()
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def text(self, key: str, **values: object) -> str:
        """What the application says, in this visitor's language."""
        return text(key, self.language, **values)

    def open(self, path: str) -> None:
        """Go to an address and wait for the page."""
        self.page.goto(self.url + path)
        self.settle()

    def go(self, key: str) -> None:
        """Follow the navigation, as a person does."""
        if self.width < 640:
            self.page.get_by_test_id("stExpandSidebarButton").click()
        self.page.get_by_role("link", name=self.text(key), exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.text(key))
        self.settle()

    def settle(self) -> None:
        """Wait until the page's script has run and nothing is drawn any more."""
        if self.page.get_by_test_id("stApp").count():
            self.page.locator(_RUN).wait_for()
            expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0)
            self.page.wait_for_timeout(400)

    def register(self, name: str) -> None:
        """Make an account by the form; the first page of members comes."""
        self.page.get_by_label(self.text("field_name")).fill(name)
        self.page.get_by_label(self.text("field_password")).fill(PASSWORD)
        self.button("register_button").click()
        self.page.get_by_test_id("stAudioInput").wait_for()
        self.settle()

    def button(self, key: str, **values: object) -> Locator:
        """A button, by what stands on it."""
        return self.page.get_by_role("button", name=self.text(key, **values)).first

    def choose(self, group: str, choice: str) -> None:
        """Choose one of several, by the keys of the group's and the choice's words."""
        found = self.page.get_by_role("radiogroup", name=self.text(group))
        found.get_by_role("radio", name=self.text(choice)).click()

    def says(self, key: str, **values: object) -> None:
        """Assert that the page tells this."""
        told = self.text(key, **values).replace("**", "")
        expect(self.page.get_by_text(told).first).to_be_visible()

    def record(self, seconds: float) -> None:
        """Speak into the microphone; the page's answer is for the caller to await."""
        box = self.page.get_by_test_id("stAudioInput")
        box.get_by_test_id("stAudioInputActionButton").last.click()
        self.page.wait_for_timeout(1000 * seconds)
        box.get_by_test_id("stAudioInputActionButton").last.click()

    def download(self, key: str) -> bytes:
        """Press a button that gives a file."""
        with self.page.expect_download() as given:
            self.button(key).click()
        got: Download = given.value
        return Path(got.path()).read_bytes()

    def keys_reach(self, *names: str) -> None:
        """Assert that Tab comes to each of these controls, by their names; within a group of choices go the arrows."""
        left = set(names)
        self.page.evaluate("document.activeElement?.blur()")
        for _ in range(60):
            self.page.keyboard.press("Tab")
            focused = str(self.page.evaluate(_FOCUSED))  # an icon's name may stand before the words
            left -= {name for name in left if focused.endswith(name)}
            if not left:
                return
        raise AssertionError(f"the keyboard does not reach {left}")

    def look(self, name: str) -> None:
        """Take the page's picture and assert what is demanded of every page."""
        self.settle()
        tall = max(_HEIGHTS[self.width], int(self.page.evaluate(_HEIGHT)))
        self.page.set_viewport_size({"width": self.width, "height": min(tall, 6_000)})
        self._shots.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(150)
        self.page.screenshot(path=self._shots / f"{name}-{self.language}-{self.width}.png")
        assert not self.page.evaluate(_TOO_WIDE), f"{name} scrolls sideways at {self.width} px"
        assert self.page.evaluate("document.documentElement.lang") == self.language, name
        found = faults(Axe().run(self.page, options=_RULES).response)
        assert found == [], f"{name}: {found}"
        self.page.set_viewport_size({"width": self.width, "height": _HEIGHTS[self.width]})

    def leave(self) -> None:
        """Close the browser; assert that nothing went wrong behind what was seen."""
        self._context.close()
        assert self.wrong == [], self.wrong

    def expected(self, part: str) -> None:
        """Take back an error that the caller provoked."""
        assert any(part in line for line in self.wrong), self.wrong
        self.wrong = [line for line in self.wrong if part not in line]

    def _logged(self, line: ConsoleMessage) -> None:
        # What was not found is noted by its address, in `_answered`.
        if line.type == "error" and not line.text.startswith("Failed to load resource"):
            self.wrong.append(line.text)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.wrong.append(f"asks {request.url}")

    def _answered(self, response: Response) -> None:
        # Streamlit looks for its server below a page's own address first.
        if response.status >= 400 and not _PROBE.fullmatch(urlsplit(response.url).path):
            self.wrong.append(f"{response.status} {response.url}")


def faults(found: dict[str, Any]) -> list[str]:
    """What axe-core says against a page, a line for each rule."""
    return [
        f"{fault['id']}: {fault['help']}: " + " | ".join(node["html"][:160] for node in fault["nodes"][:4])
        for fault in found["violations"]
    ]
