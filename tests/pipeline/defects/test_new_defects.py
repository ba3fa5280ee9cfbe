"""A new defect and a new language by configuration alone: trained, published and served without touching code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from fastapi.testclient import TestClient

from speech.home import Home, code_folder
from speech.serving.pointer import read_pointer
from speech.text.language import load_language
from speech.text.letters import count_letters
from tests.api.conftest import ended, started
from tests.archives import write_archive
from tests.pipeline.test_train_job import launch
from tests.recordings import encoded, hum


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("VNYATNO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VNYATNO_ARCHIVE_ROOTS", str(tmp_path))
    return Home(tmp_path / "home")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def with_sigmatism(folder: Path) -> Path:
    """ru.yaml as a user would edit it: one class, its three letters."""
    language = yaml.safe_load((code_folder() / "configs" / "languages" / "ru.yaml").read_text(encoding="utf-8"))
    language["classes"]["sigmatism"] = {
        "names": {"ru": "сигматизм", "en": "sigmatism"},
        "aliases": ["4", "шепелявость", "lisp"],
        "markers": ["с", "з", "ц"],
    }
    language["letters"] |= {"с": {}, "з": {}, "ц": {}}
    path = folder / "speech-therapy.yaml"
    path.write_text(yaml.safe_dump(language, allow_unicode=True), encoding="utf-8")
    return path


def served(home: Home) -> dict[str, Any]:
    """What the service answers with the bundle that the run has published."""
    app = started(home)
    try:
        response = TestClient(app).post(
            "/api/predict", files={"file": ("a.wav", encoded(hum(1.5), "WAV"), "audio/wav")}
        )
    finally:
        ended(app)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_fifth_class_by_editing_yaml(tmp_path: Path, home: Home, instance: DagsterInstance) -> None:
    classes = ["none", "burr", "fricative_g", "stutter", "sigmatism"]
    names = ["none", "burr", "fricative_g", "stutter", "Шепелявость"]  # the table uses an alias
    archive = write_archive(tmp_path / "five.zip", classes=names)
    settings = {"language": str(with_sigmatism(tmp_path)), "classes": classes}
    result = launch(archive, instance, clips=settings)
    assert result.success
    answer = served(home)
    assert answer["classes"] == classes
    assert len(answer["predict_proba"]) == 5
    assert list(answer["markers"]) == ["р", "г", "с", "з", "ц"]
    assert answer["bundle"] == read_pointer(home, "defects").current


def test_english_by_configuration(tmp_path: Path, home: Home, instance: DagsterInstance) -> None:
    classes = ["none", "burr", "lisp", "stutter"]
    texts = ("hello my name", "red river road", "sister sees a zebra", "we go home")
    archive = write_archive(tmp_path / "english.zip", classes=["0", "rhotacism", "lisp", "3"], texts=texts)
    result = launch(archive, instance, clips={"language": "en", "classes": classes})
    assert result.success
    answer = served(home)
    assert answer["classes"] == classes
    assert list(answer["markers"]) == ["r", "s", "z", "c"]


@pytest.mark.parametrize(
    ("word", "letter", "count"),
    [("rarer", "r", 3), ("ships", "s", 1), ("island", "s", 0), ("city", "c", 1), ("cat", "c", 0), ("zoo", "z", 1),
     ("special", "c", 0), ("vision", "s", 0), ("sister", "s", 2)],
)  # fmt: skip
def test_english_letters_are_counted_where_they_sound(word: str, letter: str, count: int) -> None:
    assert count_letters(word, load_language("en"))[letter] == count
