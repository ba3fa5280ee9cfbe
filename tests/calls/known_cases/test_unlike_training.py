"""A call that is unlike the training clips is told so, and no verdict on it is sure: as where it is sent alone."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from speech.audio.limits import MIN_SPEECH_SECONDS
from speech.defects.calibration import Calibration
from speech.defects.training_distance import describe, figures_of
from speech.files import write_json
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import write_tiny_bundle
from tests.long import joined, room, sentence
from tests.recordings import encoded
from tests.speech.bundles.test_defects import sign_anew

HISS = np.random.default_rng(1).standard_normal(40 * 16_000).astype(np.float32)


def clip(seed: int) -> np.ndarray:
    """A recording as the bundle learned from: a sentence with a pause before and after it."""
    rng = np.random.default_rng(seed)
    name = ("city", "forest")[seed % 2]
    samples = np.concatenate(
        [room(rng.uniform(0.3, 0.8), seed), sentence(name), room(rng.uniform(0.3, 0.8), seed + 99)]
    )
    return (10 ** (rng.uniform(-4, 4) / 20) * samples).astype(np.float32)


@pytest.fixture(scope="module", params=[0.0, MIN_SPEECH_SECONDS], ids=["whoever speaks", "as delivered"])
def client(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    home = Home(tmp_path_factory.mktemp("home"))
    folder = write_tiny_bundle(home, "knowing", calibration=Calibration(unsure_below=0.0))
    write_json(folder / "statistics.json", describe([figures_of(clip(seed)) for seed in range(40)]))
    sign_anew(folder)
    publish(home, "knowing")
    settings = SETTINGS.model_copy(update={"min_speech_seconds": request.param, "batch_free_bytes": 0})
    app = started(home, settings)
    with TestClient(app, client=("127.0.0.1", 50_000), base_url="http://127.0.0.1") as client:
        yield client
    ended(app)


def judged(client: TestClient, data: bytes, **form: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What the results say of a call, as JSON and in the table."""
    batch = client.post("/api/batches", files={"file": ("a.wav", data)}, data=form).json()["id"]
    deadline = time.monotonic() + 120
    while client.get(f"/api/batches/{batch}").json()["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    url = f"/api/batches/{batch}/results"
    (record,) = [json.loads(line) for line in client.get(url).text.splitlines()]
    row = next(csv.DictReader(io.StringIO(client.get(f"{url}?format=csv").content.decode("utf-8-sig"))))
    return record, row


CASES = {
    "as the training clips": (clip(77), False),
    "another as the training clips": (clip(78), False),
    "far too quiet": (0.05 * clip(77), True),
    "noise as loud as a voice": (clip(77) + 0.03 * HISS[: len(clip(77))], True),
    "many times as long": (joined(0.5, *["city", 0.5, "forest", 0.5] * 2), True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_call_is_compared_as_a_recording_that_is_sent_alone(client: TestClient, name: str) -> None:
    samples, unlike = CASES[name]
    alone = client.post("/api/predict", files={"file": ("a.wav", encoded(samples))}).json()
    record, row = judged(client, encoded(samples))
    (verdict,) = record["verdicts"]
    assert alone["unlike_training"]["unlike"] is unlike
    assert verdict["unlike_training"] == alone["unlike_training"]
    message = [one for one in alone["warnings"] if one["code"] == "unlike_training"]
    assert [one for one in verdict["warnings"] if one["code"] == "unlike_training"] == message
    assert row["warnings"].split() == ["unlike_training"] * unlike
    if unlike:
        assert set(verdict["words"].values()) <= {"unsure", "not_assessable"}
        assert (verdict["unsure"], verdict["label"], row["label"]) == (True, "unsure", "unsure")
        assert {window["label"] for window in record["windows"]} == {"unsure"}
        assert verdict["shares"]["unsure"] == 1.0
    else:
        assert not verdict["unsure"]


def test_each_side_is_compared_by_itself(client: TestClient) -> None:
    samples = np.stack([clip(77), 0.05 * clip(77)], axis=1)
    record, _ = judged(client, encoded(samples), sides="true")
    assert [verdict["unlike_training"]["unlike"] for verdict in record["verdicts"]] == [False, True]
    assert [verdict["unsure"] for verdict in record["verdicts"]] == [False, True]
    assert {window["label"] == "unsure" for window in record["windows"] if window["side"] == 0} == {False}


def test_a_long_call_is_not_unlike_by_its_length(client: TestClient) -> None:
    calls = [np.concatenate([clip(seed) for seed in range(24)]), 0.05 * np.concatenate([clip(s) for s in range(24)])]
    found = [judged(client, encoded(samples, "FLAC"))[0]["verdicts"][0] for samples in calls]
    assert [verdict["unlike_training"]["unlike"] for verdict in found] == [False, True]
    assert [verdict["unsure"] for verdict in found] == [False, True]


def test_what_is_missing_of_a_call_is_warned_of(client: TestClient) -> None:
    data = encoded(clip(77))
    (verdict,) = judged(client, data[: len(data) * 6 // 10])[0]["verdicts"]
    assert "cut_short" in {one["code"] for one in verdict["warnings"]}
