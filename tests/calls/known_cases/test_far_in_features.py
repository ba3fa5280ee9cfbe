"""What sounds like the training clips and is heard as none of them was: told by every entrance, and sure of nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from speech.defects import feature_distance
from speech.defects.calibration import Calibration
from speech.defects.diagnose import diagnose
from speech.defects.training_distance import describe, figures_of
from speech.files import write_json
from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import tiny_model, write_tiny_bundle
from tests.calls.known_cases.test_unlike_training import clip, judged
from tests.recordings import encoded
from tests.speech.bundles.test_defects import sign_anew

CLIPS = 40


@pytest.fixture(params=[False, True], ids=["near", "far"])
def far(request: pytest.FixtureRequest) -> bool:
    """Whether the bundle has learned from clips of which the model makes something else."""
    return bool(request.param)


@pytest.fixture
def client(data_home: Home, far: bool) -> Iterator[TestClient]:
    """A service whose bundle knows the sound of clips like `clip`, and their features, or some far from these."""
    folder = write_tiny_bundle(data_home, "knowing", calibration=Calibration(unsure_below=0.0))
    clips = [clip(seed) for seed in range(CLIPS)]
    features = np.array([answer.features for answer in diagnose(tiny_model(), clips)])
    seconds = np.array([len(samples) / 16_000 for samples in clips])
    told = feature_distance.describe(features + 5.0 * far, seconds, [""] * CLIPS)
    write_json(folder / "statistics.json", describe([figures_of(samples) for samples in clips]) | told)
    sign_anew(folder)
    publish(data_home, "knowing")
    app = started(data_home, SETTINGS.model_copy(update={"min_speech_seconds": 0.0, "batch_free_bytes": 0}))
    with TestClient(app, client=("127.0.0.1", 50_000), base_url="http://127.0.0.1") as client:
        yield client
    ended(app)


def test_a_recording_and_a_call_say_so_and_are_sure_of_nothing(client: TestClient, far: bool) -> None:
    data = encoded(clip(77))
    alone = client.post("/api/predict", files={"file": ("a.wav", data)}).json()
    (verdict,) = judged(client, data)[0]["verdicts"]
    for answer, words in ((alone, alone["verdicts"]), (verdict, verdict["words"])):
        assert answer["unlike_training"]["unlike"] is far
        assert answer["unlike_training"]["why"] == ["encoder_features"] * far
        assert [one["code"] for one in answer["warnings"]].count("unlike_training") == far
        assert (set(words.values()) <= {"unsure", "not_assessable"}) is far
    assert alone["unlike_training"]["score"] == pytest.approx(verdict["unlike_training"]["score"], rel=0.1)
