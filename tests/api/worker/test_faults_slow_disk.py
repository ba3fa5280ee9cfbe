"""A disk that does not answer: what was read before goes on serving, and nobody waits for the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.security import keyring
from api.security.keys import make_key, revoke_key
from api.worker import loader
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import ended, started
from tests.api.test_service_process import SPEECH, until
from tests.bundles import write_tiny_bundle


class Disk:
    """Holds up whoever reads, until it is let go."""

    def __init__(self) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()

    def hang(self) -> None:
        self.asked.clear()
        self.answers.clear()

    def before(self, call: Any) -> Any:
        def slow(*arguments: Any, **named: Any) -> Any:
            if not self.answers.is_set():
                self.asked.set()
                self.answers.wait()
            return call(*arguments, **named)

        return slow


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.answers.set()


@pytest.fixture
def app(data_home: Home) -> Iterator[FastAPI]:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(data_home, name)
    publish(data_home, "tiny-1")
    app = started(data_home)
    yield app
    ended(app)


def bundle(client: TestClient, **headers: str) -> str:
    response = client.post("/api/predict", files={"file": ("a.mp3", SPEECH)}, headers=headers)
    return str(response.json().get("bundle", response.json().get("code")))


def test_predictions_do_not_wait_for_the_pointer(app: FastAPI, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    home = app.state.engine.home
    monkeypatch.setattr(loader, "read_pointer", disk.before(loader.read_pointer))
    with TestClient(app, client=("127.0.0.1", 1), base_url="http://127.0.0.1") as client:
        disk.hang()
        publish(home, "tiny-2")
        assert disk.asked.wait(60)
        assert {bundle(client) for _ in range(5)} == {"tiny-1"}
        for path in ("/api/health", "/api/model"):
            assert client.get(path).json()["bundle"] == "tiny-1"
        disk.answers.set()
        until(lambda: bundle(client) == "tiny-2", "the published bundle")


def test_predictions_do_not_wait_for_a_bundle_that_loads_slowly(
    app: FastAPI, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = app.state.engine.loader.recipe
    monkeypatch.setattr(app.state.engine.loader, "recipe", replace(recipe, load=disk.before(recipe.load)))
    with TestClient(app, client=("127.0.0.1", 1), base_url="http://127.0.0.1") as client:
        disk.hang()
        publish(app.state.engine.home, "tiny-2")
        assert disk.asked.wait(60)
        assert {bundle(client) for _ in range(5)} == {"tiny-1"}
        disk.answers.set()
        until(lambda: bundle(client) == "tiny-2", "the published bundle")


def test_known_keys_stay_in_force_while_their_list_cannot_be_reached(
    app: FastAPI, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = app.state.engine.home
    key = make_key(home, "anna", per_minute=1_000)
    monkeypatch.setattr(Path, "stat", disk.before(Path.stat))
    monkeypatch.setattr(keyring, "LOOK_SECONDS", 0.01)
    with TestClient(app, client=("203.0.113.7", 1)) as client:
        until(lambda: bundle(client, **{"X-API-Key": key}) == "tiny-1", "the list of keys")
        revoke_key(home, "anna")
        disk.hang()
        assert {bundle(client, **{"X-API-Key": key}) for _ in range(5)} == {"tiny-1"}
        assert disk.asked.is_set()
        disk.answers.set()
        until(lambda: bundle(client, **{"X-API-Key": key}) == "key_revoked", "the revocation")


def test_nobody_is_let_in_before_the_list_of_keys_was_reached(
    app: FastAPI, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "stat", disk.before(Path.stat))
    with TestClient(app, client=("203.0.113.7", 1)) as client:
        disk.hang()
        assert bundle(client) == "keys_unreadable"
        disk.answers.set()
        until(lambda: bundle(client) == "tiny-1", "the list of keys")
