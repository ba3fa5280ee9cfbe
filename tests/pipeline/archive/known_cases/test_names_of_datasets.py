"""Datasets of Hugging Face in the place of an archive: it is said where their name belongs; nothing is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archive.hub_names import refuse_dataset, remedy_for_name
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.sources import fetch
from speech.archives.errors import ArchiveError, ForbiddenSource, SourceNotFound, UnsupportedLink

SET = "et ops.asr_archive.config.dataset.name to "


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", asked)
    monkeypatch.setattr("socket.getaddrinfo", asked)


def refusal(source: str, folder: Path, options: ArchiveSettings) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        fetch(source, folder / "cache", options, print)
    return caught.value


@pytest.mark.parametrize(
    "source",
    [
        "hf://datasets/user/name",
        "hf://datasets/user/name@main",
        "hf://datasets/user/name/data/train.parquet",
        "https://huggingface.co/datasets/user/name",
        "https://huggingface.co/datasets/user/name/",
        "https://hf.co/datasets/user/name/tree/main",
        "https://huggingface.co/datasets/user/name/viewer/default/train",
        "https://huggingface.co/datasets/user/name?row=1",
    ],
)
def test_a_link_to_a_dataset(source: str, tmp_path: Path, options: ArchiveSettings) -> None:
    error = refusal(source, tmp_path, options)
    assert isinstance(error, UnsupportedLink)
    assert "a dataset of Hugging Face and no archive" in str(error)
    assert f"S{SET}user/name" in str(error)


def test_a_dataset_of_one_word(tmp_path: Path, options: ArchiveSettings) -> None:
    assert f"S{SET}squad," in str(refusal("https://huggingface.co/datasets/squad/tree/main", tmp_path, options))


@pytest.mark.parametrize("source", ["user/name", "name", "common_voice_17.0", "datasets/user/name"])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_bare_name(
    source: str, allowed: bool, tmp_path: Path, options: ArchiveSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = options if allowed else options.model_copy(update={"allowed_roots": [str(tmp_path / "other")]})
    error = refusal(source, tmp_path, settings)
    assert isinstance(error, SourceNotFound if allowed else ForbiddenSource)
    name = source.removeprefix("datasets/")
    assert f"Or, if {name} is a dataset of Hugging Face, s{SET}{name}," in error.remedy


@pytest.mark.parametrize("source", ["a/b.zip", "archive.7z", "./name", "/user/name", "~/name", "a/b/c", "мои записи"])
def test_a_path_is_no_name_of_a_dataset(source: str) -> None:
    assert remedy_for_name(source) == ""


def test_a_packed_file_of_a_dataset_has_an_address(tmp_path: Path, options: ArchiveSettings) -> None:
    error = refusal("hf://datasets/user/name/data/mine.zip", tmp_path, options)
    assert "https://huggingface.co/datasets/user/name/resolve/main/data/mine.zip" in error.remedy


@pytest.mark.parametrize("place", ["user/name", "squad"])
def test_the_address_of_a_file_is_downloaded(place: str) -> None:
    refuse_dataset(f"https://huggingface.co/datasets/{place}/resolve/main/mine.zip")
    refuse_dataset(f"https://example.org/datasets/{place}")
