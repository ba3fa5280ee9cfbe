"""Contract 7: no speaker on two sides, known speakers stay, new ones fill the quotas, unknown ones go by content."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import Registry, content_key
from pipeline.clips.settings import SPLITS, ClipSettings, CorpusSettings
from pipeline.clips.splits import ClassTooSmallError, SplitPlan, plan_splits
from pipeline.clips.units import SplitColumnError

CLASSES = ("none", "burr", "stutter")
OPTIONS = ClipSettings(min_clips_per_class=1)
NOTHING = Registry()


def clip(
    name: str, label: str | None = "none", speaker: str | None = None, split: str | None = None, archive: str = "one"
) -> ClipRecord:
    content = hashlib.sha256(name.encode()).hexdigest()
    sha256 = hashlib.sha256(f"file {name}".encode()).hexdigest()
    quality = {"level_dbfs": -20.0, "peak_dbfs": -3.0, "clipped_share": 0.0, "silent_share": 0.1}
    return ClipRecord(
        id=content[:16],
        archive=archive,
        file=f"{name}.wav",
        row=2,
        sha256=sha256,
        content=content,
        label=label,
        speaker=speaker,
        text=None,
        group=None,
        split=split,
        seconds=1.0,
        source_rate=16_000,
        channels=1,
        offset=0,
        length=16_000,
        **quality,
    )


def clips_of(speakers: Iterable[int | str], takes: int = 3, archive: str = "one") -> list[ClipRecord]:
    """Each speaker says every class `takes` times."""
    return [
        clip(f"{archive} {who} {label} {take}", label, f"s{who}", archive=archive)
        for who in speakers
        for label in CLASSES
        for take in range(takes)
    ]


def strangers(count: int) -> list[ClipRecord]:
    """`count` clips of each class, speakers unknown."""
    return [clip(f"{label} {take}", label) for label in CLASSES for take in range(count)]


def plan(records: list[ClipRecord], options: CorpusSettings = OPTIONS, registry: Registry = NOTHING) -> SplitPlan:
    return plan_splits(records, CLASSES, options, registry)


def sides(records: list[ClipRecord], plan: SplitPlan) -> dict[str, set[str]]:
    """Speaker to the splits their clips are in."""
    found: dict[str, set[str]] = {}
    for record in records:
        found.setdefault(f"{record.archive}/{record.speaker}", set()).add(plan.splits[record.id])
    return found


def shares(records: list[ClipRecord], plan: SplitPlan, label: str) -> list[float]:
    own = [plan.splits[record.id] for record in records if record.label == label]
    return [own.count(split) / len(own) for split in SPLITS]


def test_no_speaker_is_on_two_sides_and_every_class_is_on_each() -> None:
    records = clips_of(range(20))
    result = plan(records)
    assert all(len(splits) == 1 for splits in sides(records, result).values())
    assert result.speakers_known
    for label in CLASSES:
        assert shares(records, result, label) == pytest.approx([0.65, 0.15, 0.2], abs=0.03)


def test_the_order_of_the_table_does_not_matter() -> None:
    records = clips_of(range(20)) + strangers(9)
    shuffled = records[:]
    random.Random(1).shuffle(shuffled)
    assert plan(shuffled).splits == plan(records).splits


def test_speakers_of_two_archives_are_two_people() -> None:
    records = clips_of(range(20)) + clips_of(range(20), archive="two")
    result = plan(records)
    assert set(result.news.speakers) == {"one", "two"}
    known = result.news.speakers
    assert any(known["one"][speaker] != known["two"][speaker] for speaker in known["one"])


def test_known_speakers_never_move_and_new_ones_fill_the_quotas() -> None:
    old = clips_of(range(6))
    first = plan(old)
    grown = old + clips_of(range(6, 40))
    second = plan(grown, registry=first.news)
    assert all(second.splits[record.id] == first.splits[record.id] for record in old)
    assert all(len(splits) == 1 for splits in sides(grown, second).values())
    assert shares(grown, second, "burr") == pytest.approx([0.65, 0.15, 0.2], abs=0.03)


def test_known_speakers_stay_when_all_new_ones_would_be_needed_elsewhere() -> None:
    registry = Registry({"one": {f"s{n}": "test" for n in range(12)}}, {})
    records = clips_of(range(20))
    result = plan(records, registry=registry)
    assert all(sides(records, result)[f"one/s{n}"] == {"test"} for n in range(12))


def test_new_recordings_of_a_known_speaker_follow_them() -> None:
    first = plan(clips_of(range(10)))
    more = [
        replace(record, speaker=record.speaker.upper()) for record in clips_of(range(10), takes=9) if record.speaker
    ]
    second = plan(more, registry=first.news)
    for record in more:
        assert record.speaker is not None
        assert second.splits[record.id] == first.news.of_speaker("one", record.speaker.lower())


def test_an_archive_under_another_name_keeps_its_splits() -> None:
    records = clips_of(range(20))
    first = plan(records)
    renamed = [replace(record, archive="renamed") for record in records]
    second = plan(renamed, OPTIONS.model_copy(update={"seed": 99}), registry=first.news)
    assert second.splits == first.splits


def test_speakers_named_later_are_split_anew_and_it_is_said() -> None:
    named = clips_of(range(20))
    first = plan([replace(record, speaker=None) for record in named])
    second = plan(named, registry=first.news)
    assert all(len(splits) == 1 for splits in sides(named, second).values())
    assert any("before their speakers were known" in note for note in second.notes)


def test_planning_leaves_the_registry_alone() -> None:
    registry = Registry({"one": {"s0": "train"}}, {})
    plan(clips_of(range(10)), registry=registry)
    assert registry == Registry({"one": {"s0": "train"}}, {})


def test_unknown_speakers_are_split_by_content_and_it_is_said() -> None:
    records = strangers(40)
    result = plan(records)
    assert not result.speakers_known
    assert any("speakers unknown: 120 clips" in note and "training and test" in note for note in result.notes)
    for label in CLASSES:
        assert shares(records, result, label) == pytest.approx([0.65, 0.15, 0.2], abs=0.01)


def test_known_content_never_moves_whatever_its_archive_is_called() -> None:
    first = plan(strangers(10))
    grown = [replace(record, archive="other") for record in strangers(50)]
    second = plan(grown, registry=first.news)
    assert all(second.splits[name] == split for name, split in first.splits.items())
    assert shares(grown, second, "burr") == pytest.approx([0.65, 0.15, 0.2], abs=0.03)


def test_content_is_known_by_its_file_too() -> None:
    # A later decoder may give other samples for the same mp3.
    record = clip("a")
    registry = Registry({}, {content_key(record.sha256): "test"})
    assert plan([*strangers(9), record], registry=registry).splits[record.id] == "test"


def test_the_least_count_goes_before_the_shares() -> None:
    records = strangers(9)
    result = plan(records, ClipSettings(min_clips_per_class=3))
    for label in CLASSES:
        assert shares(records, result, label) == pytest.approx([1 / 3] * 3)


def test_some_rows_name_a_speaker_and_some_do_not() -> None:
    records = clips_of(range(10)) + strangers(20)
    result = plan(records)
    assert not result.speakers_known
    named = [record for record in records if record.speaker]
    assert all(len(splits) == 1 for splits in sides(named, result).values())
    assert any("speakers unknown: 60 clips" in note for note in result.notes)


@pytest.mark.parametrize("speakers", [1, 2])
def test_a_class_with_too_few_speakers_is_named_with_counts(speakers: int) -> None:
    records = [record for record in clips_of(range(12)) if record.label != "stutter"]
    records += [clip(f"x{n}", "stutter", f"s{n % speakers}") for n in range(30)]
    with pytest.raises(ClassTooSmallError, match=rf"class stutter cannot be split: 30 clips of {speakers} speakers"):
        plan(records)


def test_a_class_with_too_few_clips_is_named_with_counts() -> None:
    records = [record for record in strangers(30) if record.label != "burr"] + [clip("b1", "burr"), clip("b2", "burr")]
    with pytest.raises(ClassTooSmallError, match=r"class burr cannot be split: 2 clips of 2 .*needs 3 clips") as caught:
        plan(records, ClipSettings(min_clips_per_class=3))
    assert "class none" not in str(caught.value)


def test_a_class_without_clips_is_named() -> None:
    with pytest.raises(ClassTooSmallError, match="class stutter cannot be split: 0 clips of 0 speakers"):
        plan([record for record in clips_of(range(12)) if record.label != "stutter"])


def test_small_classes_do_not_stop_pretraining_but_are_said() -> None:
    result = plan_splits(clips_of(range(2)), CLASSES, OPTIONS, NOTHING, labels_required=False)
    assert any("class burr cannot be split" in note for note in result.notes)


def test_a_class_short_because_its_speakers_are_bound_says_so() -> None:
    registry = Registry({"one": {f"s{n}": "train" for n in range(12)}}, {})
    with pytest.raises(ClassTooSmallError, match="12 of them keep their split"):
        plan(clips_of(range(12)), registry=registry)


def test_the_split_column_is_followed() -> None:
    wanted = {"s0": "test", "s1": "validation"}
    records = [replace(record, split=wanted.get(str(record.speaker), "train")) for record in clips_of(range(10))]
    result = plan(records)
    assert sides(records, result) == {f"one/s{n}": {wanted.get(f"s{n}", "train")} for n in range(10)}
    assert any("split column decides" in note for note in result.notes)


def test_the_split_column_can_be_ignored() -> None:
    records = [replace(record, split="train") for record in clips_of(range(20))]
    assert set(plan(records, OPTIONS.model_copy(update={"use_split_column": False})).splits.values()) == set(SPLITS)


def test_one_value_speaks_for_all_of_a_speakers_clips() -> None:
    records = clips_of(range(20))
    records[0] = replace(records[0], split="test")
    assert sides(records, plan(records))["one/s0"] == {"test"}


def test_the_split_column_must_not_tear_a_speaker() -> None:
    records = clips_of(range(20))
    records[0] = replace(records[0], split="test", row=11)
    records[1] = replace(records[1], split="train", row=12)
    with pytest.raises(SplitColumnError, match=r"one/s0: test \(row 11\), train \(row 12\)"):
        plan(records)


def test_the_split_column_must_not_move_known_speakers() -> None:
    wanted = {"s0": "train", "s1": "validation", "s2": "test"}
    records = [replace(record, split=wanted.get(str(record.speaker))) for record in clips_of(range(20))]
    with pytest.raises(SplitColumnError, match="one/s0 is in test, the column says train"):
        plan(records, registry=Registry({"one": {"s0": "test"}}, {}))


def test_a_split_the_column_never_names_is_taken_from_training() -> None:
    records = [
        replace(record, split="test" if record.speaker in ("s0", "s1", "s2", "s3") else "train")
        for record in clips_of(range(20))
    ]
    result = plan(records)
    assert any("names no validation" in note for note in result.notes)
    by_speaker = sides(records, result)
    assert all(by_speaker[f"one/s{n}"] == {"test"} for n in range(4))
    assert all(by_speaker[f"one/s{n}"] <= {"train", "validation"} for n in range(4, 20))
    assert {"validation"} in by_speaker.values()
    again = plan(records, registry=result.news)
    assert again.splits == result.splits


def test_unlabelled_clips_of_test_speakers_stay_out_of_training() -> None:
    labelled = clips_of(range(20))
    unlabelled = [clip(f"u{n}", None, f"s{n}") for n in range(25)]
    result = plan(labelled + unlabelled)
    for record in unlabelled[:20]:
        assert result.splits[record.id] == result.news.of_speaker("one", str(record.speaker))
    assert {result.splits[record.id] for record in unlabelled[:20]} == set(SPLITS)
    assert {result.splits[record.id] for record in unlabelled[20:]} == {"train"}


def test_unlabelled_clips_of_unknown_speakers_are_trained_on_and_it_is_said() -> None:
    unlabelled = [clip(f"u{n}", None) for n in range(5)]
    result = plan(clips_of(range(20)) + unlabelled)
    assert {result.splits[record.id] for record in unlabelled} == {"train"}
    assert not result.speakers_known
    assert any("5 unlabelled ones serve pretraining and may be of test speakers" in note for note in result.notes)


@pytest.mark.parametrize("named", [True, False])
def test_without_any_label_some_voices_are_held_out(named: bool) -> None:
    records = [clip(f"u{n}", None, f"s{n % 20}" if named else None) for n in range(100)]
    result = plan_splits(records, CLASSES, OPTIONS, NOTHING, labels_required=False)
    held = [split for split in result.splits.values() if split == "validation"]
    assert len(held) == 15
    assert "test" not in result.splits.values()
    if named:
        assert all(len(splits) == 1 for splits in sides(records, result).values())


def test_everything_for_test() -> None:
    records = clips_of(range(5))
    result = plan(
        records,
        OPTIONS.model_copy(update={"validation_share": 0, "test_share": 1}),
        Registry({"one": {"s0": "train"}}, {}),
    )
    assert sides(records, result) == {"one/s0": {"train"}} | {f"one/s{n}": {"test"} for n in range(1, 5)}


def test_every_speaker_and_recording_is_to_be_remembered() -> None:
    records = [*clips_of(range(12)), clip("u", None, "s99")]
    news = plan(records).news
    assert set(news.speakers["one"]) == {*(f"s{n}" for n in range(12)), "s99"}
    assert all(news.of_content(record.content) and news.of_content(record.sha256) for record in records)
