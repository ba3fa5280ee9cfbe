"""What an answer says of the recording itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from speech.defects.training_distance import describe, figures_of
from speech.files import write_json
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import ended, started
from tests.bundles import write_tiny_bundle
from tests.recordings import babble, encoded
from tests.speech.bundles.test_defects import sign_anew

SPEECH = babble(16, 4.0)
KNOWN_CASES = Path(__file__).resolve().parents[2] / "speech" / "audio" / "known_cases"


def ask(client: TestClient, samples: np.ndarray = SPEECH, rate: int = 16_000, **data: Any) -> dict[str, Any]:
    response = client.post("/api/predict", files={"file": ("a.wav", encoded(samples, "WAV", rate))}, data=data)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def knowing_client(data_home: Home) -> Iterator[TestClient]:
    """A bundle in service that knows what its training clips sounded like: babble of its kind."""
    folder = write_tiny_bundle(data_home, "knowing")
    write_json(folder / "statistics.json", describe([figures_of(babble(16, 4.0, seed)) for seed in range(30)]))
    sign_anew(folder)
    publish(data_home, "knowing")
    app = started(data_home)
    with TestClient(app) as client:
        yield client
    ended(app)


def test_quality_and_tempo_are_told(client: TestClient) -> None:
    answer = ask(client)
    assert set(answer["quality"]) == {"level_dbfs", "peak_dbfs", "clipped_share", "silent_share", "snr_db"}
    assert answer["quality"]["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(SPEECH).max()), abs=0.1)
    assert answer["quality"]["snr_db"] > 20
    assert answer["tempo"]["syllables_per_second"] == pytest.approx(4.0, rel=0.15)
    assert answer["tempo"]["speech_seconds"] == pytest.approx(4.0, abs=0.2)
    assert answer["warnings"] == []


def test_warnings_say_what_is_wrong(client: TestClient) -> None:
    narrow = 0.08 * babble(16, 4.0)[::2]
    warnings = ask(client, narrow, 8000)["warnings"]
    assert {warning["code"] for warning in warnings} == {"too_quiet", "telephone_band"}
    assert all(len(warning["message"].split()) > 5 for warning in warnings)


@pytest.mark.parametrize(("name", "code"), [("damaged.m4a", "damaged"), ("cut.wma", "cut_short")])
def test_warnings_say_that_a_part_is_missing(client: TestClient, name: str, code: str) -> None:
    response = client.post("/api/predict", files={"file": (name, (KNOWN_CASES / name).read_bytes())})
    assert response.status_code == 200, response.text
    assert [one["code"] for one in response.json()["warnings"] if one["code"] in ("damaged", "cut_short")] == [code]


@pytest.mark.parametrize(("data", "count"), [({}, 400), ({"peaks": 0}, 0), ({"peaks": 7}, 7), ({"peaks": 2000}, 2000)])
def test_the_waveform_has_as_many_peaks_as_wanted(client: TestClient, data: dict[str, int], count: int) -> None:
    peaks = ask(client, **data)["peaks"]
    assert len(peaks) == count
    assert all(-1 <= low <= high <= 1 for low, high in peaks)
    if count:
        assert max(high for _, high in peaks) == pytest.approx(float(SPEECH.max()), abs=1e-3)


@pytest.mark.parametrize("peaks", ["-1", "2001", "many", "1.5"])
def test_another_number_of_peaks_is_400(client: TestClient, peaks: str) -> None:
    response = client.post("/api/predict", files={"file": ("a.wav", encoded(SPEECH))}, data={"peaks": peaks})
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "peaks" in response.json()["detail"]


def test_a_bundle_that_does_not_know_its_training_clips_says_nothing_of_them(client: TestClient) -> None:
    assert ask(client)["unlike_training"] is None


def test_what_is_unlike_the_training_clips_is_told(knowing_client: TestClient) -> None:
    like = ask(knowing_client)["unlike_training"]
    assert (like["unlike"], like["why"]) == (False, [])
    assert 0 < like["score"] <= like["threshold"]
    unlike = ask(knowing_client, 0.2 * babble(60, 4.0))["unlike_training"]
    assert unlike["unlike"]
    assert unlike["score"] > unlike["threshold"]
    assert set(unlike["why"][:2]) == {"seconds", "level_dbfs"}
