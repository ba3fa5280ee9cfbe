"""Speakers of several archives who have one name are several people; one who is written in two ways is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.clips.dataset import ClipSet
from pipeline.defects.corpus import Corpus
from pipeline.evaluation.bootstrap import resamples, unit
from pipeline.evaluation.groups import group_metrics
from pipeline.recognition.utterances import utterances
from tests.clip_sets import hums

CLASSES = ("none", "burr")


@pytest.fixture
def clips(tmp_path: Path) -> ClipSet:
    """Eight test clips: `anna` of two archives, two clips each, and `Анна`, `анна` and nobody of the second."""
    of = hums(tmp_path, {"test": 7}, CLASSES, text=lambda _: "рот")
    said = [("a", "anna"), ("a", "anna"), ("b", "anna"), ("b", "anna"), ("b", "Анна"), ("b", "анна "), ("b", None)]
    records = tuple(
        replace(record, archive=archive, speaker=speaker, group="all")
        for record, (archive, speaker) in zip(of.records, said, strict=True)
    )
    return ClipSet(of.folder, records, CLASSES, "ru", True, {**of.meta, "archives": ["a", "b"]})


def test_they_are_drawn_apart(clips: ClipSet) -> None:
    judged = Corpus(clips, {}, ("р",), {}).judged(clips.records)
    assert [clip.speaker for clip in judged] == ["a/anna", "a/anna", "b/anna", "b/anna", "b/Анна", "b/Анна", None]
    units = [unit(clip) for clip in judged]
    assert len(set(units)) == 4
    assert any((0 in draw) != (2 in draw) for draw in resamples(units))
    assert all((0 in draw) == (1 in draw) and (4 in draw) == (5 in draw) for draw in resamples(units))


def test_groups_count_them_apart(clips: ClipSet) -> None:
    judged = Corpus(clips, {}, ("р",), {}).judged(clips.records)
    (row,) = group_metrics(judged, [clip.labels for clip in judged], CLASSES)
    assert row["speakers"] == 3


def test_the_recognisers_utterances_have_the_same_speakers(clips: ClipSet) -> None:
    assert [one.speaker for one in utterances(clips, "test")] == [clips.speaker(one) for one in clips.records]


def test_the_speakers_of_one_archive_keep_their_names(clips: ClipSet) -> None:
    alone = ClipSet(clips.folder, clips.records[2:], CLASSES, "ru", True, clips.meta)
    assert [alone.speaker(record) for record in alone.records] == ["anna", "anna", "Анна", "Анна", None]
