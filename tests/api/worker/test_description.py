"""What an answer says of the recording itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from speech.audio.limits import MIN_SPEECH_SECONDS
from speech.defects.training_distance import describe, figures_of
from speech.files import write_json
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import write_tiny_bundle
from tests.long import sentence
from tests.recordings import babble, encoded
from tests.speech.audio.known_cases.sounds import NO_SPEECH, ringing_tone
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


@pytest.fixture
def listening_client(data_home: Home) -> Iterator[TestClient]:
    """A service as it is delivered, which asks for speech."""
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    app = started(data_home, SETTINGS.model_copy(update={"min_speech_seconds": MIN_SPEECH_SECONDS}))
    with TestClient(app) as client:
        yield client
    ended(app)


def test_where_nobody_speaks_nothing_is_judged(listening_client: TestClient) -> None:
    for name, samples in NO_SPEECH.items():
        response = listening_client.post("/api/predict", files={"file": ("a.wav", encoded(samples))})
        assert (response.status_code, response.json()["code"]) == (422, "no_speech"), name


def test_speech_among_other_sound_is_judged_as_if_alone(listening_client: TestClient) -> None:
    tone = ringing_tone()
    alone = ask(listening_client, sentence("city"))
    answer = ask(listening_client, np.concatenate([tone, sentence("city")]))
    assert answer["duration"] == pytest.approx(alone["duration"] + len(tone) / 16_000, abs=0.01)
    np.testing.assert_allclose(answer["predict_proba"], alone["predict_proba"], atol=0.05)
    assert all(place["start"] > len(tone) / 16_000 - 0.5 for place in answer["places"])


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
    answer = ask(knowing_client, 0.2 * babble(60, 4.0))
    assert "unlike_training" in {warning["code"] for warning in answer["warnings"]}
    assert set(answer["verdicts"].values()) <= {"unsure", "not_assessable"}
    unlike = answer["unlike_training"]
    assert unlike["unlike"]
    assert unlike["score"] > unlike["threshold"]
    assert set(unlike["why"][:2]) == {"seconds", "level_dbfs"}
