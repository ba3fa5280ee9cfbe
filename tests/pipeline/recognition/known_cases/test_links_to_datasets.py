"""A dataset's name as people copy it: its page, or an hf: link."""

from __future__ import annotations

import pytest

from pipeline.recognition.datasets import identify
from pipeline.recognition.settings import DatasetSettings
from speech.archives.errors import SourceNotFound
from tests.pipeline.recognition.hub import COMMIT


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("https://huggingface.co/datasets/user/name", "user/name"),
        ("https://huggingface.co/datasets/user/name/tree/main", "user/name"),
        ("https://huggingface.co/datasets/user/name/viewer/default/train?row=3", "user/name"),
        ("hf://datasets/user/name", "user/name"),
        ("datasets/user/name", "user/name"),
        (" user/name ", "user/name"),
        ("https://huggingface.co/datasets/squad", "squad"),
        ("squad", "squad"),
    ],
)
def test_a_link_is_the_name_in_it(link: str, name: str) -> None:
    origin = identify(DatasetSettings(name=link, revision=COMMIT), ())
    assert (origin.name, origin.place, origin.revision) == (name, name, COMMIT)


def test_a_revision_in_the_link() -> None:
    assert identify(DatasetSettings(name=f"hf://datasets/user/name@{COMMIT}"), ()).revision == COMMIT


@pytest.mark.parametrize(
    "name",
    [
        "https://huggingface.co/user/name",
        "https://huggingface.co/datasets/user/name/resolve/main/a.parquet",
        "hf://datasets/user/name/a.parquet",
        "https://example.org/datasets/user/name",
        "a/b/c",
    ],
)
def test_what_is_no_dataset_says_what_to_give(name: str) -> None:
    with pytest.raises(SourceNotFound, match=r"no name of a dataset.*owner/name"):
        identify(DatasetSettings(name=name, revision=COMMIT), ())
