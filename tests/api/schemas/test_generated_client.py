"""A client that a generator makes of the OpenAPI document alone, against the real service."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.api.test_service_process import Service, running
from tests.bundles import write_tiny_bundle
from tests.recordings import babble, encoded

PACKAGE = "generated_vnyatno_client"
SETTINGS = "post_hooks: []\n"  # its style is the generator's affair


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service"), workers=1) as service:
        write_tiny_bundle(service.home, "tiny-1")
        service.publish("tiny-1", workers=1)
        yield service


@pytest.fixture(scope="module")
def package(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The client, generated of the document that the running service gives, without a single warning."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "settings.yaml").write_text(SETTINGS)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{service.base}/api/openapi.json"]
    command += ["--output-path", str(folder / PACKAGE), "--meta", "none", "--fail-on-warning"]
    command += ["--config", str(folder / "settings.yaml")]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module(PACKAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def part(package: ModuleType, name: str) -> ModuleType:
    return importlib.import_module(f"{package.__name__}.{name}")


def test_it_diagnoses_a_recording(service: Service, package: ModuleType, tmp_path: Path) -> None:
    models, types = part(package, "models"), part(package, "types")
    predict = part(package, "api.diagnosis.predict")
    recording = tmp_path / "babble.mp3"
    recording.write_bytes(encoded(babble(12, 4.0), "MP3"))
    with recording.open("rb") as file, package.Client(base_url=service.base) as client:
        sent = types.File(payload=file, file_name=recording.name, mime_type="audio/mpeg")
        answer = predict.sync(client=client, body=models.BodyPredict(file=sent, peaks=50))
    assert isinstance(answer, models.Prediction)
    assert sum(answer.predict_proba) == pytest.approx(1.0)
    assert answer.class_ in answer.classes
    assert answer.bundle == "tiny-1"
    assert len(answer.peaks) == 50
    assert answer.tempo.syllables > 6
    assert answer.quality.level_dbfs < 0
    assert answer.unlike_training is None


def test_it_understands_failures(service: Service, package: ModuleType) -> None:
    models, types = part(package, "models"), part(package, "types")
    predict = part(package, "api.diagnosis.predict")
    with package.Client(base_url=service.base) as client:
        sent = types.File(payload=io.BytesIO(b"words"), file_name="a.mp3", mime_type="audio/mpeg")
        refused = predict.sync_detailed(client=client, body=models.BodyPredict(file=sent))
    assert refused.status_code == 415
    assert isinstance(refused.parsed, models.ProblemDocument)
    assert refused.parsed.code == "not_audio"


def test_it_asks_for_the_model_and_its_health(service: Service, package: ModuleType) -> None:
    with package.Client(base_url=service.base) as client:
        card = part(package, "api.service.model").sync(client=client)
        health = part(package, "api.service.health").sync(client=client)
    assert card.bundle == health.bundle == "tiny-1"
    assert card.classes[0].name == "none"
    assert health.status == "ok"
