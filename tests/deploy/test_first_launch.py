"""Trainings launched as people launch them: by each button of Dagster's pages, with nothing but an archive typed in."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.demo.dagster_runs import Dagster, DagsterError
from deploy.run.parts import ROOT, dagster_parts
from deploy.run.stack import Stack
from pipeline.archive.settings import NO_SOURCE
from speech.home import Home
from tests.archives import write_archive
from tests.deploy.conftest import free_addresses
from tests.deploy.dagster_pages import ask

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

TRAIN, READY, EVERYTHING = "/jobs/train", "/jobs/train_offline", "/asset-groups"
_SECONDS = 300.0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archives") / "tones.zip")


@pytest.fixture(scope="module")
def stack(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Dagster over the real pipeline, as the launcher starts it."""
    home, addresses = Home(tmp_path_factory.mktemp("launched") / "home"), free_addresses()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VNYATNO_ARCHIVE_ROOTS", str(archive.parent))
        with Stack(home, addresses, lambda code: dagster_parts(addresses, code), show=False) as running:
            yield running


@pytest.fixture(scope="module")
def dagster(stack: Stack) -> Dagster:
    return Dagster(stack.addresses.dagster.url, stack.home.dagster)


@pytest.fixture
def form(stack: Stack, tmp_path: Path) -> Iterator[Form]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield Form(browser.new_page(viewport={"width": 1500, "height": 1000}), stack.addresses.dagster.url, tmp_path)
        browser.close()


class Form:
    """Dagster's launchpad in a browser: opened from a page, read, filled in and sent."""

    def __init__(self, page: Any, url: str, shots: Path) -> None:
        page.set_default_timeout(60_000)
        self.page, self._url, self._shots = page, url, shots

    def open(self, path: str, by: str) -> None:
        """Open it from a page of Dagster by the button, or by the entry behind its arrow."""
        self.page.goto(self._url + (f"/locations/vnyatno{path}" if path.startswith("/jobs") else path))
        button = self.page.get_by_role("button", name="Materialize all")
        if by == "button":
            button.click()
        else:
            button.locator("xpath=following::button[1]").click()
            self.page.get_by_text("Open launchpad", exact=True).click()
        self.page.get_by_text("CONFIG ACTIONS:").wait_for()

    def problems(self) -> list[str]:
        """What Dagster says against the form, once it has looked at it."""
        told = self.page.get_by_text(re.compile("^(No errors|Missing |Received |Value )"))
        told.first.wait_for()
        self.page.wait_for_timeout(1000)
        self.page.screenshot(path=self._shots / "form.png")
        return [text for text in told.all_inner_texts() if text != "No errors"]

    def scaffold(self) -> None:
        """Have what is missing put in, empty."""
        self.page.get_by_role("button", name="Scaffold missing config").click()
        confirm = self.page.get_by_role("button", name="Confirm")
        confirm.click()
        confirm.wait_for(state="detached")
        self.page.wait_for_timeout(500)  # the closed dialog gives the keyboard back to its button

    def write(self, line: str, keys: tuple[str, ...], text: str) -> None:
        """Put the cursor at the end of the first line that holds `line`, press `keys`, and type."""
        self.page.locator(".CodeMirror-line").filter(has_text=line).first.click()
        for key in ("End", *keys):
            self.page.keyboard.press(key)
        self.page.keyboard.type(text)

    def send(self) -> dict[str, Any]:
        """Press the form's own button; what Dagster answers."""
        button = self.page.locator("button:enabled").filter(has_text=re.compile("^Materialize$"))
        button.wait_for()
        with self.page.expect_response(lambda answer: "launchPipelineExecution" in answer.text()) as given:
            button.click()
        answer: dict[str, Any] = given.value.json()["data"]["launchPipelineExecution"]
        return answer


def first_step(dagster: Dagster, run_id: str, stage: str = "archive") -> str:
    """How the first stage of a run ended; what follows it is not waited for, and given up."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        ends = [e for e in dagster.events(run_id)[0] if e.stage == stage and e.kind in ("succeeded", "failed")]
        if ends or dagster.run(run_id).finished:
            break
        time.sleep(0.5)
    if not dagster.run(run_id).finished:
        with suppress(DagsterError):  # it has ended by itself just now
            dagster.terminate(run_id)
    while not dagster.run(run_id).finished:
        assert time.monotonic() < deadline + _SECONDS
        time.sleep(0.5)
    assert ends, dagster.failure(run_id)
    return ends[0].kind if ends[0].kind == "succeeded" else ends[0].message


@pytest.mark.parametrize(
    ("path", "by"), [(TRAIN, "button"), (TRAIN, "arrow"), (EVERYTHING, "button"), (EVERYTHING, "arrow")]
)
def test_a_training_lacks_its_archive_alone(form: Form, dagster: Dagster, archive: Path, path: str, by: str) -> None:
    form.open(path, by)
    (problem,) = form.problems()
    assert 'Missing required config entry "sources" at path root:ops:archive:config' in problem
    form.scaffold()
    form.write("sources: []", ("ArrowLeft",), str(archive))
    assert form.problems() == []
    answer = form.send()
    assert answer["__typename"] == "LaunchRunSuccess", answer
    assert first_step(dagster, answer["run"]["id"]) == "succeeded"


@pytest.mark.parametrize("by", ["button", "arrow"])
def test_a_ready_configuration_has_a_place_for_the_archive(
    form: Form, dagster: Dagster, archive: Path, by: str
) -> None:
    form.open(READY, by)
    assert form.problems() == []
    form.write(NO_SOURCE, ("Shift+Home",), f"- {archive}")
    answer = form.send()
    assert answer["__typename"] == "LaunchRunSuccess", answer
    assert first_step(dagster, answer["run"]["id"]) == "succeeded"
    asked = yaml.safe_load((ROOT / "configs" / "offline.yaml").read_text(encoding="utf-8"))["ops"]
    asked["archive"]["config"]["sources"] = [str(archive)]
    assert run_config(dagster, answer["run"]["id"])["ops"] == asked


def test_a_ready_configuration_whose_place_was_left_as_it_is_says_so(form: Form, dagster: Dagster) -> None:
    form.open(READY, "button")
    answer = form.send()
    assert "sources: name at least one archive" in first_step(dagster, answer["run"]["id"])


def test_the_recognisers_button_shows_its_dataset_before_it_launches(form: Form) -> None:
    form.open("/jobs/asr", "button")
    assert form.problems() == []
    assert any("eka-medical-asr" in line for line in form.page.locator(".CodeMirror-line").all_inner_texts())


def run_config(dagster: Dagster, run_id: str) -> Any:
    query = "query Asked($id: ID!) { runOrError(runId: $id) { ... on Run { runConfigYaml } } }"
    return yaml.safe_load(ask(dagster.url, query, {"id": run_id})["runOrError"]["runConfigYaml"])
