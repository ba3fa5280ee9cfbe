from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.service_client import Service, ServiceError
from tests.deploy.stand_in import StandIn, stand_in

__all__ = ["stand_in"]


@pytest.fixture
def service(stand_in: StandIn) -> Service:
    return Service(stand_in.address.url)


def test_without_a_model_there_is_none(service: Service) -> None:
    assert service.model() is None


def test_a_bundle_that_never_comes_is_told_with_what_serves(stand_in: StandIn, service: Service) -> None:
    stand_in.serving = ["old"]
    with pytest.raises(ServiceError, match="new is not in service after 0 s; in service: old"):
        service.wait_for("new", seconds=0.0)


def test_a_bundle_that_the_service_refuses_is_told_with_the_reason(stand_in: StandIn, service: Service) -> None:
    stand_in.serving = ["old"]
    stand_in.refused = {"bundle": "new", "reason": "its checksum differs"}
    with pytest.raises(ServiceError, match="its checksum differs"):
        service.wait_for("new", seconds=60.0)


def test_an_answer_is_read(stand_in: StandIn, service: Service, tmp_path: Path) -> None:
    stand_in.serving = ["b-1"]
    (tmp_path / "clip.mp3").write_bytes(b"sound")
    answer = service.predict(tmp_path / "clip.mp3")
    assert (answer.name, answer.bundle, answer.seconds) == ("burr", "b-1", 2.0)
    assert answer.probabilities == {"none": 0.1, "burr": 0.7, "fricative_g": 0.1, "stutter": 0.1}


def test_a_refusal_is_told_with_its_code(stand_in: StandIn, service: Service, tmp_path: Path) -> None:
    stand_in.status = 415
    (tmp_path / "clip.mp3").write_bytes(b"sound")
    with pytest.raises(ServiceError, match=r"clip\.mp3 was answered with 415"):
        service.predict(tmp_path / "clip.mp3")


def test_a_clip_that_is_not_there_is_an_error(service: Service) -> None:
    with pytest.raises(ServiceError, match=r"/no/clip\.mp3"):
        service.predict(Path("/no/clip.mp3"))


def test_a_service_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ServiceError, match="gave no answer"):
        Service("http://127.0.0.1:9").model()
