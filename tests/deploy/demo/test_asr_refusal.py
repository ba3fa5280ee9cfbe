"""A recogniser that falls short of its threshold, in the real Dagster: what its pages say, and who goes on serving."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.addresses import Addresses
from deploy.demo.__main__ import RECIPES
from deploy.demo.dagster_runs import Dagster
from deploy.demo.service_client import Service
from deploy.run.parts import Part, dagster_parts, service_part
from deploy.run.stack import Stack
from deploy.run_config import read_run_config, with_archive
from speech.home import Home
from speech.serving.pointer import publish, read_pointer
from tests.deploy.conftest import free_addresses
from tests.recognisers import tiny_recogniser, write_tiny_recogniser

SERVING = "asr-of-yesterday"
REFUSAL = re.compile(
    r"the gate refuses this bundle, the service stays as it is\. "
    r"maximum_wer: WER (\d\.\d{3}) on (\d+) words of the test split, at most 0\.000 is asked for"
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]  # a minute; a busy machine may take many times as long


@pytest.fixture(scope="module")
def addresses() -> Addresses:
    return free_addresses()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A data folder in which a recogniser serves."""
    made = Home(tmp_path_factory.mktemp("data") / "home")
    recogniser = tiny_recogniser(tmp_path_factory.mktemp("vocabulary"))
    write_tiny_recogniser(made, SERVING, recogniser)
    publish(made, SERVING)
    return made


@pytest.fixture(scope="module")
def dagster(home: Home, addresses: Addresses) -> Iterator[Dagster]:
    def parts(code_socket: Path) -> list[Part]:
        return [*dagster_parts(addresses, code_socket), service_part(addresses)]

    with Stack(home, addresses, parts, show=False):
        yield Dagster(addresses.dagster.url, home.dagster)


@pytest.fixture(scope="module")
def refused(dagster: Dagster) -> str:
    """A run of `asr` that heard its recordings for seconds, and would have to make no error at all."""
    shown = RECIPES["asr"]
    config = with_archive(read_run_config(shown.config), shown.archive, shown.stage)
    config["ops"]["recogniser"]["config"]["epochs"] = 0.1
    config["ops"]["asr_bundle"]["config"]["max_wer"] = 0.0
    run_id = dagster.launch(shown.job, config)
    deadline = time.monotonic() + 900
    while not (run := dagster.run(run_id)).finished or run.will_retry:
        assert time.monotonic() < deadline, f"run {run_id} did not end in time"
        time.sleep(0.5)
    assert run.status == "FAILURE"
    return run_id


def test_the_run_fails_at_the_check_and_says_by_how_much(dagster: Dagster, refused: str) -> None:
    events, _ = dagster.events(refused)
    (check,) = [event for event in events if event.kind == "check" and event.message.startswith("maximum_wer")]
    assert check.passed is False
    (failed,) = [event for event in events if event.kind == "failed"]
    assert failed.stage == "asr_bundle"
    found = REFUSAL.search(failed.message)
    assert found is not None, failed.message
    assert float(found[1]) == pytest.approx(dagster.metadata(refused)["asr_evaluation"]["wer"], abs=5e-4)
    assert int(found[2]) == dagster.metadata(refused)["asr_evaluation"]["words"]


def test_the_service_stays_as_it_was(home: Home, addresses: Addresses, refused: str) -> None:
    pointer = read_pointer(home, "asr")
    assert pointer is not None
    assert pointer.current == SERVING
    assert [folder.name for folder in home.bundles.iterdir()] == [SERVING]
    assert (Service(addresses.service.url).model("asr") or {})["bundle"] == SERVING


def test_the_page_of_the_run_shows_it(addresses: Addresses, refused: str, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{addresses.dagster.url}/runs/{refused}")
        page.get_by_text("the service stays as it is").first.wait_for(timeout=120_000)
        page.screenshot(path=tmp_path / "run.png")
        page.goto(f"{addresses.dagster.url}/assets/asr_bundle?view=checks&checkDetail=maximum_wer")
        page.get_by_text("at most 0.000 is asked for").first.wait_for(timeout=120_000)
        page.screenshot(path=tmp_path / "check.png")
        browser.close()
