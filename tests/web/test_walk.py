"""Every page in both languages on a narrow and a wide screen, with the real service and the demonstration's model.

VNYATNO_DEMO_HOME: the data folder of a `make demo`, whose model is taken; without it one is trained first.
VNYATNO_SHOTS: where the pages' pictures are put.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.web.conftest import PASSWORD, Site, start
from web.language import LANGUAGES, text

pytest.importorskip("playwright")

from playwright.sync_api import Browser, Locator, expect

from tests.web.backend import Backend, trained
from tests.web.browsing import CHROMIUM, WIDTHS, Visitor, chromium, clips, microphone

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]
CALLS = 24
OTHER = "another correct horse battery"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("walk")


@pytest.fixture(scope="module")
def backend(folder: Path) -> Iterator[Backend]:
    service = Backend(trained(folder))
    service.start()
    yield service
    service.kill()


@pytest.fixture(scope="module")
def real_site(backend: Backend, folder: Path) -> Iterator[Site]:
    made = start(folder / "site", backend.url)
    yield made
    made.process.terminate()
    assert made.process.wait(20) in (0, -15)


@pytest.fixture(scope="module")
def voices(folder: Path) -> list[Path]:
    """Recordings with the burr, then without."""
    return [*clips(folder, "burr", 4), *clips(folder, "none", 2)]


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    """Calls of two operators on five days."""
    made, labels = folder / "calls.zip", ("none", "burr", "fricative_g", "stutter")
    recordings = [clip for label in labels for clip in clips(folder, label, CALLS // len(labels))]
    with zipfile.ZipFile(made, "w") as zipped:
        for at, clip in enumerate(recordings):
            zipped.write(clip, f"{('ivanova', 'petrova')[at % 2]}/2026-11-0{2 + at % 5} {at:02}.mp3")
    return made


@pytest.fixture(scope="module")
def browser(voices: list[Path], folder: Path) -> Iterator[Browser]:
    with chromium(microphone(voices[0], folder / "voice.wav")) as made:
        yield made


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page(
    browser: Browser, real_site: Site, voices: list[Path], archive: Path, folder: Path, language: str, width: int
) -> None:
    visitor = Visitor(browser, real_site.url, language, width, folder / "shots")
    name = f"Anna {uuid4().hex[:6]}"
    register(visitor, name)
    train(visitor, voices)
    progress(visitor)
    calls(visitor, archive)
    models(visitor, voices[0])
    account(visitor, name)
    visitor.leave()


def register(visitor: Visitor, name: str) -> None:
    visitor.open("/")
    visitor.says("app_claim")
    visitor.says("landing_no_diagnosis")
    visitor.keys_reach(visitor.text("register_title"), visitor.text("sign_in_button"))
    visitor.look("home")
    visitor.page.get_by_role("link", name=visitor.text("sign_in_button")).click()
    visitor.look("sign-in")
    visitor.page.get_by_role("link", name=visitor.text("register_title")).click()
    visitor.page.get_by_label(visitor.text("field_name")).fill(name)
    visitor.page.get_by_label(visitor.text("field_password")).fill("short")
    visitor.button("register_button").click()
    visitor.says("account_password_short", least=10)
    visitor.expected("422")
    visitor.look("register-refused")
    visitor.register(name)


def train(visitor: Visitor, voices: list[Path]) -> None:
    page = visitor.page
    prompt = page.locator(".st-key-prompt h3")
    visitor.keys_reach("р", visitor.text("training_another"), visitor.text("streamlit_record"))
    first = prompt.inner_text()
    visitor.choose("training_length", "length_middle")
    expect(prompt).not_to_have_text(first)
    visitor.choose("training_difficulty", "difficulty_2")
    visitor.settle()
    second = prompt.inner_text()
    visitor.button("training_another").click()
    expect(prompt).not_to_have_text(second)
    visitor.look("training")
    visitor.record(4)
    visitor.says("training_result")
    expect(page.get_by_role("meter")).to_have_count(3)
    page.locator("svg .wave").first.wait_for()
    assert page.locator("svg .wave").count() > 100
    visitor.look("training-verdict")
    places = letters = 0
    for voice in voices[1:]:
        visitor.button("training_another").click()
        visitor.settle()
        expect(page.get_by_role("meter")).to_have_count(0)
        page.get_by_text(visitor.text("training_upload")).click()
        page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(voice)
        expect(page.get_by_role("meter")).to_have_count(3)
        visitor.settle()
        places += play(visitor)
        letters += said_letters(visitor)
    assert places
    assert letters
    visitor.look("training-upload")


def play(visitor: Visitor) -> int:
    """Play the marked places, if there are any; how many there are."""
    marks = visitor.page.get_by_role("button", name="▶")
    if marks.count():
        marks.first.click()
        audio = visitor.page.locator("section audio").last
        assert audio.evaluate("(audio) => !audio.paused")
        visitor.page.wait_for_function(
            "(audio) => audio.paused && audio.currentTime > 0", arg=audio.element_handle(), timeout=10_000
        )
    return marks.count()


def said_letters(visitor: Visitor) -> int:
    """Play the first letter that was scored, if any was; how many there are, each coloured and named by its score."""
    letters = visitor.page.locator("section button.letter")
    if letters.count():
        visitor.says("training_sounds_hint")
        named = {visitor.text(f"sound_{tone}") for tone in ("good", "doubt", "bad")}
        assert all(any(word in str(label) for word in named) for label in titles(letters))
        letters.first.click()
        audio = visitor.page.locator("section audio").last
        assert audio.evaluate("(audio) => !audio.paused")
    return letters.count()


def titles(letters: Locator) -> list[str | None]:
    return [letter.get_attribute("title") for letter in letters.all()]


def progress(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("nav_progress")
    visitor.says("progress_count", count=6)
    page.locator("canvas, .marks").first.wait_for()
    for key in ("progress_first", "progress_latest"):
        visitor.says(key)
    visitor.look("progress")
    visitor.choose("progress_period", "period_7")
    page.get_by_role("button", name="р", exact=True).click()
    visitor.settle()
    visitor.says("progress_count", count=6)
    table = list(csv.reader(io.StringIO(visitor.download("export_csv").decode("utf-8-sig"))))
    assert len(table) == 7
    assert table[0][0] == visitor.text("export_when")
    assert visitor.download("export_pdf").startswith(b"%PDF-")
    page.get_by_text(visitor.text("progress_open")).first.click()
    visitor.settle()
    visitor.button("progress_delete").click()
    visitor.button("progress_delete_sure").click()
    visitor.says("progress_count", count=5)
    visitor.look("progress-open")


def calls(visitor: Visitor, archive: Path) -> None:
    page = visitor.page
    visitor.go("nav_calls")
    visitor.says("archive_none")
    visitor.look("calls")
    page.locator("[data-testid=stFileUploaderDropzoneInput]").first.set_input_files(archive)
    expect(visitor.button("archive_start")).to_be_enabled()
    visitor.button("archive_start").click()
    visitor.says("archive_may_leave")
    page.reload()
    expect(page.get_by_role("heading", name=archive.name)).to_be_visible()
    expect(page.get_by_role("heading", name=visitor.text("archive_shares"))).to_be_visible(timeout=240_000)
    visitor.says("archive_count", count=CALLS)
    visitor.says("archive_by_operator")
    visitor.look("calls-shares")
    table = list(csv.reader(io.StringIO(visitor.download("archive_csv").decode("utf-8-sig"))))
    assert len(table) == CALLS + 1
    assert visitor.download("archive_xlsx").startswith(b"PK")
    page.get_by_text(visitor.text("progress_open")).first.click()
    visitor.settle()
    page.locator("section audio").first.wait_for()
    play(visitor)
    page.get_by_role("tab", name=visitor.text("call_all")).click()
    page.get_by_label(visitor.text("call_search")).last.fill("petrova")
    page.keyboard.press("Enter")
    visitor.says("call_count", count=CALLS // 2)
    visitor.look("calls-list")
    visitor.button("archive_all").click()
    visitor.says("archive_list")
    visitor.button("progress_delete").click()
    visitor.button("progress_delete_sure").click()
    visitor.says("archive_none")


def models(visitor: Visitor, voice: Path) -> None:
    page = visitor.page
    visitor.go("nav_models")
    visitor.look("models")
    page.get_by_role("tab", name=visitor.text("models_tab_try")).click()
    page.locator("[data-testid=stFileUploaderDropzoneInput]").first.set_input_files(voice)
    expect(visitor.button("models_ask")).to_be_enabled()
    visitor.button("models_ask").click()
    answer = page.get_by_role("tabpanel", name=visitor.text("models_tab_try")).get_by_test_id("stJson")
    expect(answer).to_contain_text("predict_proba")
    visitor.look("models-try")
    page.get_by_role("tab", name=visitor.text("models_tab_model")).click()
    expect(page.get_by_role("meter")).to_have_count(4)
    visitor.look("models-card")
    page.get_by_role("tab", name=visitor.text("models_tab_list")).click()
    visitor.look("models-list")
    visitor.choose("models_which", "models_which_asr")
    visitor.says("models_none")


def account(visitor: Visitor, name: str) -> None:
    page = visitor.page
    visitor.go("nav_account")
    visitor.says("account_signed_in_as", name=name)
    visitor.look("account")
    page.get_by_role("link", name=visitor.text("account_password_button")).click()
    visitor.look("password")
    page.get_by_label(visitor.text("field_old_password")).fill(PASSWORD)
    page.get_by_label(visitor.text("field_new_password")).fill(OTHER)
    visitor.button("account_password_button").click()
    visitor.says("account_password_changed")
    visitor.settle()
    visitor.button("account_sign_out").click()
    visitor.says("account_signed_out")
    page.get_by_label(visitor.text("field_name")).fill(name)
    page.get_by_label(visitor.text("field_password")).fill(OTHER)
    visitor.button("sign_in_button").click()
    page.get_by_test_id("stAudioInput").wait_for()
    visitor.open("/account")
    page.get_by_role("link", name=visitor.text("account_delete_button")).click()
    visitor.look("delete")
    page.get_by_label(visitor.text("field_password")).fill(OTHER)
    visitor.button("account_delete_button").click()
    visitor.says("account_deleted")
    visitor.look("sign-in-after")


def test_the_language_changes_on_the_page_and_stays(browser: Browser, real_site: Site, folder: Path) -> None:
    visitor = Visitor(browser, real_site.url, "ru", 390, folder / "shots")
    visitor.open("/")
    visitor.page.get_by_role("button", name="English").click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(text("app_claim", "en"))
    visitor.language = "en"
    visitor.open("/account/register")
    visitor.says("register_title")
    visitor.leave()


def test_a_recording_outlives_the_service(backend: Backend, browser: Browser, real_site: Site, folder: Path) -> None:
    visitor = Visitor(browser, real_site.url, "ru", 390, folder / "shots")
    visitor.open("/account/register")
    visitor.register(f"Anna {uuid4().hex[:6]}")
    backend.kill()
    try:
        visitor.record(3)
        visitor.says("service_down")
        visitor.says("training_kept")
        visitor.says("training_waiting", count=1)
        visitor.look("service-away")
    finally:
        backend.start()
    visitor.button("training_send_again").click()
    expect(visitor.page.get_by_role("meter")).to_have_count(3)
    expect(visitor.page.get_by_text(visitor.text("training_waiting", count=1))).to_have_count(0)
    visitor.leave()
