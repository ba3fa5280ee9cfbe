"""Swagger UI in a browser that reaches nothing but the service."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from speech.home import Home
from tests.api.test_service_process import ROOT, Service, running
from tests.bundles import CLASSES, write_tiny_bundle

pytestmark = pytest.mark.system


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ROOT / "samples" / "mini.zip") as archive:
        return Path(archive.extract("data_mp3/train/clip_0001.mp3", tmp_path))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, workers=1) as service:
        write_tiny_bundle(Home(tmp_path / "home"), "tiny-1", seed=1)
        service.publish("tiny-1", workers=1)
        yield service


def test_a_recording_is_diagnosed_from_the_page_without_a_network(
    service: Service, recording: Path, tmp_path: Path
) -> None:
    from playwright.sync_api import Route, sync_playwright

    asked: list[str] = []
    wrong: list[str] = []

    def only_the_service(route: Route) -> None:
        asked.append(route.request.url)
        if route.request.url.startswith(("data:", service.base)):
            route.continue_()
        else:
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.route("**/*", only_the_service)
        page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if not answer.ok else None)
        page.goto(f"{service.base}/api/docs/")
        page.locator(".opblock").first.wait_for()
        tags = page.locator(".opblock-tag a").all_inner_texts()
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        operation = page.locator("#operations-diagnosis-predict")
        operation.locator(".opblock-summary-control").click()
        operation.locator("input[type=file]").set_input_files(recording)
        operation.locator("button.execute").click()
        answer = operation.locator(".live-responses-table .response").first
        answer.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "answered.png", full_page=True)
        status = answer.locator(".response-col_status").inner_text()
        body = json.loads(answer.locator(".highlight-code code").first.inner_text())
        browser.close()

    assert tags[0] == "diagnosis"
    assert status.split() == ["200"]
    assert body["classes"] == list(CLASSES)
    assert body["bundle"] == "tiny-1"
    assert len(body["predict_proba"]) == len(CLASSES)
    assert any(url.endswith("/swagger-ui-bundle.js") for url in asked)
    assert {urlsplit(url).hostname for url in asked if not url.startswith("data:")} == {"127.0.0.1"}
    assert wrong == []
