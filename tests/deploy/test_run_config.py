from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.__main__ import RECIPES, run_configuration
from deploy.run_config import RunConfigError, read_run_config, sources, with_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "мой архив.zip"
    path.write_bytes(b"PK")
    return path


def test_a_local_archive_comes_with_its_folder_as_an_allowed_root(archive: Path) -> None:
    changed = with_archive({"ops": {"heads": {"config": {"epochs": 1}}}}, str(archive))
    assert changed["ops"]["archive"]["config"] == {"sources": [str(archive)], "allowed_roots": [str(archive.parent)]}
    assert changed["ops"]["heads"] == {"config": {"epochs": 1}}


def test_a_relative_path_becomes_absolute(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive.parent)
    assert sources(with_archive({}, archive.name)) == [str(archive)]


def test_settings_of_the_archive_stay_and_its_sources_are_replaced(archive: Path) -> None:
    run_config = {"ops": {"archive": {"config": {"sources": ["other.zip"], "allowed_roots": ["/data"], "retries": 2}}}}
    config = with_archive(run_config, str(archive))["ops"]["archive"]["config"]
    assert config == {"sources": [str(archive)], "allowed_roots": ["/data", str(archive.parent)], "retries": 2}
    assert sources(run_config) == ["other.zip"]  # the caller's own is left alone


def test_a_link_is_passed_on_as_it_is() -> None:
    link = "https://drive.google.com/file/d/abc/view?usp=sharing"
    assert with_archive({}, link)["ops"]["archive"]["config"] == {"sources": [link]}


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunConfigError, match=r"no\.zip"):
        with_archive({}, str(tmp_path / "no.zip"))


@pytest.mark.parametrize("text", ["- a list", "ops: [archive]", "ops: {archive: [}", "word"])
def test_what_is_no_run_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(RunConfigError, match=r"run\.yaml"):
        read_run_config(path)


def test_a_given_configuration_may_name_its_own_sources(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("ops: {archive: {config: {sources: ['https://example.org/a.zip']}}}")
    assert sources(run_configuration(RECIPES["defects"], None, str(path))) == ["https://example.org/a.zip"]


def test_the_sample_archive_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("ops: {}")
    (source,) = sources(run_configuration(RECIPES["defects"], None, str(path)))
    assert source.endswith("samples/mini.zip")


def test_the_recognisers_archive_goes_to_its_own_stage(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("ops: {recogniser: {config: {epochs: 1}}}")
    value = run_configuration(RECIPES["asr"], str(archive), str(path))
    assert sources(value, "asr_archive") == [str(archive)]
    assert sources(value) == []
    assert value["ops"]["recogniser"] == {"config": {"epochs": 1}}


def test_a_configuration_with_a_dataset_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("ops: {asr_archive: {config: {dataset: {name: owner/speech}}}}")
    assert run_configuration(RECIPES["asr"], None, str(path))["ops"] == {
        "asr_archive": {"config": {"dataset": {"name": "owner/speech"}}}
    }


@pytest.mark.parametrize(("name", "stage"), [("defects", "clips"), ("asr", "asr_clips")])
def test_the_language_of_the_speech_goes_to_the_stage_that_reads_texts(name: str, stage: str, archive: Path) -> None:
    shown = RECIPES[name]
    value = run_configuration(shown, str(archive), str(shown.config), "en")
    assert value["ops"][stage]["config"]["language"] == "en"
    told = run_configuration(shown, str(archive), str(shown.config))["ops"][stage]["config"]
    assert {**value["ops"][stage]["config"], "language": "ru"} == {**told, "language": "ru"}
