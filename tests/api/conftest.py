"""An application with a real engine and a tiny bundle in service, shared by the tests that do not change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from api.app import build_app
from api.observe.metrics import Metrics
from api.settings import ServiceSettings
from api.worker.engine import Engine
from speech.defects.calibration import Calibration
from speech.defects.model import DefectModel
from speech.home import Home
from speech.serving.pointer import publish
from speech.text.language import load_language
from tests.bundles import tiny_spec, write_tiny_bundle

# Far from changing nothing, so that a service which forgets it is found out.
CALIBRATION = Calibration(0.5, (0.0, 1.0, 0.0, -1.0), 0.6, 1e6, {"burr": ("р",)}, {"burr": 1e-4})
SETTINGS = ServiceSettings(max_upload_bytes=1_000_000, max_seconds=20, decoders=1, threads=1, min_speech_seconds=0)


def started(home: Home, settings: ServiceSettings = SETTINGS) -> FastAPI:
    """An application whose engine runs; whoever asks for it ends it."""
    app = build_app(settings, home)
    app.state.engine = Engine(settings, home, Metrics(CollectorRegistry()))
    app.state.engine.start()
    return app


def ended(app: FastAPI) -> None:
    """End an application that was started."""
    app.state.engine.close()
    app.state.access.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    home = Home(Path(tmp_path_factory.mktemp("home")))
    write_tiny_bundle(home, "tiny-1", seed=1, calibration=CALIBRATION)
    publish(home, "tiny-1")
    app = started(home)
    yield app
    ended(app)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    # One event loop for all requests, as in a worker.
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def spelling_client(data_home: Home) -> Iterator[TestClient]:
    """A bundle in service whose model spells."""
    torch.manual_seed(0)
    model = DefectModel(replace(tiny_spec(), alphabet=load_language("ru").alphabet)).eval()
    write_tiny_bundle(data_home, "speller", model=model)
    publish(data_home, "speller")
    app = started(data_home)
    with TestClient(app) as client:
        yield client
    ended(app)
