"""Several labels in one cell of the table, and what the clips stage makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.clips.contents import Source, Vocabulary
from pipeline.clips.dataset import ClipSet, build_clips
from pipeline.clips.doubles import resolve_doubles
from pipeline.clips.records import ClipRecord
from pipeline.clips.registry import Registry
from pipeline.clips.settings import SPLITS, ClipSettings
from pipeline.clips.splits import plan_splits
from pipeline.clips.table import Table, read_table
from pipeline.clips.vocabulary import vocabulary as configured
from speech.text.language import load_language
from tests.pipeline.clips.test_doubles import CLIP
from tests.pipeline.clips.test_splits import clip

COMMA_ALIAS = "гэканье, южное г"


@pytest.fixture
def several(vocabulary: Vocabulary) -> Vocabulary:
    classes = {**vocabulary.classes, "fricative_g": [*vocabulary.classes["fricative_g"], COMMA_ALIAS]}
    return replace(vocabulary, classes=classes, exclusive=False)


def read(folder: Path, cell: str, names: Vocabulary) -> Table:
    (folder / "data_train.csv").write_text(f'file,label\na.wav,"{cell}"\n', encoding="utf-8")
    return read_table(folder, names.columns, names.classes, names.splits, exclusive=names.exclusive)


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("burr;stutter", ["burr", "stutter"]),
        ("заикание , Картавость", ["burr", "stutter"]),
        ("1.0+3", ["burr", "stutter"]),
        ("r / g | заикание", ["burr", "fricative_g", "stutter"]),
        ("burr; r; картавость;", ["burr"]),
        ("burr", ["burr"]),
        ("норма", ["none"]),
        (COMMA_ALIAS, ["fricative_g"]),
        ("ГЭКАНЬЕ,  южное г", ["fricative_g"]),
    ],
)
def test_a_cell_may_name_several_classes(tmp_path: Path, several: Vocabulary, cell: str, labels: list[str]) -> None:
    (row,) = read(tmp_path, cell, several).rows
    assert [row.label, *row.also] == labels


def test_none_and_a_defect_contradict_each_other(tmp_path: Path, several: Vocabulary) -> None:
    table = read(tmp_path, "норма; картавость; 3", several)
    (fault,) = table.faults
    assert not table.rows
    assert (fault.line, fault.file, fault.code) == (2, "a.wav", "contradictory_label")
    assert fault.message == (
        "label 'норма; картавость; 3' says none, which means no defect, and burr, stutter as well; keep one of them"
    )


@pytest.mark.parametrize(("cell", "named"), [("burr; lisp", "'lisp' in 'burr; lisp'"), ("bur", "'bur'"), (";", "';'")])
def test_an_unknown_part_is_named(tmp_path: Path, several: Vocabulary, cell: str, named: str) -> None:
    (fault,) = read(tmp_path, cell, several).faults
    assert fault.code == "unknown_label"
    assert fault.message.startswith(f"unknown label {named}; allowed: none (0, норма, нет)")


def test_exclusive_classes_take_one_label_and_say_how_to_take_more(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (fault,) = read(tmp_path, "burr; stutter", vocabulary).faults
    assert fault.code == "unknown_label"
    assert fault.message.startswith("unknown label 'burr; stutter'; allowed: none")
    assert "ops.clips.config.exclusive" in fault.message
    (other,) = read(tmp_path, "burr; lisp", vocabulary).faults
    assert "exclusive" not in other.message


def test_the_setting_reaches_the_names() -> None:
    language = load_language("ru")
    assert configured(ClipSettings(), language).exclusive
    assert not configured(ClipSettings(exclusive=False), language).exclusive
    with pytest.raises(ValueError, match="must hold none"):
        ClipSettings(classes=["burr", "stutter"], exclusive=False)


def test_a_clip_set_keeps_them(archive: Callable[..., Path], several: Vocabulary, tmp_path: Path) -> None:
    cells = ("none", "burr", "burr;stutter", "фрикативное г", "stutter")
    rows = [(f"s{speaker}_{n}.wav", cell, f"s{speaker}", "") for speaker in range(6) for n, cell in enumerate(cells)]
    folder, out = archive([*rows, ("odd.wav", "none+burr", "s0", "")]), tmp_path / "out"
    out.mkdir()
    summary = build_clips(
        [Source("archive", folder)],
        out,
        vocabulary=several,
        language="ru",
        settings=ClipSettings(min_speech_seconds=0, min_clips_per_class=1),
        registry=tmp_path / "speakers.json",
        workers=1,
    )
    clips = ClipSet.load(out)
    assert not clips.exclusive
    both = [record for record in clips.records if record.labels == ("burr", "stutter")]
    assert len(both) == 6
    assert both[0].label == "burr"
    assert summary.labelled == 30
    assert sum(of_class["burr"] for of_class in summary.counts.values()) == 12
    assert sum(of_class["stutter"] for of_class in summary.counts.values()) == 12
    assert sum(of_class["none"] for of_class in summary.counts.values()) == 6
    assert summary.fault_kinds == {"contradictory_label": 1}
    assert "6 clips have several labels and are counted under each of them" in summary.notes
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["clips"] == summary.counts


def test_a_record_without_further_labels_is_read() -> None:
    value = CLIP.as_dict()
    del value["also"]
    assert ClipRecord.from_dict(json.loads(json.dumps(value))) == CLIP
    both = replace(CLIP, also=("stutter",))
    assert ClipRecord.from_dict(json.loads(json.dumps(both.as_dict()))) == both
    assert replace(CLIP, label=None).labels == ()


def test_doubles_agree_only_in_all_their_labels() -> None:
    both = replace(CLIP, also=("stutter",))
    assert len(resolve_doubles([both, replace(both, file="b.wav", row=3)])[1]) == 1
    kept, _, faults, _ = resolve_doubles([both, replace(CLIP, file="b.wav", row=3)])
    assert not kept
    assert "this row says burr and stutter, one row 3 says burr;" in faults[0].message


def test_clips_without_speakers_go_where_their_rarest_class_is_needed() -> None:
    """Every stutter is in a burred clip too: split by burr alone, its few clips would fall as chance has it."""
    records = [clip(f"none {n}", "none") for n in range(40)] + [clip(f"burr {n}", "burr") for n in range(40)]
    records += [replace(clip(f"both {n}", "burr"), also=("stutter",)) for n in range(6)]
    options = ClipSettings(min_clips_per_class=2)
    plan = plan_splits(records, ("none", "burr", "stutter"), options, Registry())
    for split in SPLITS:
        there = [record for record in records if plan.splits[record.id] == split]
        assert sum("stutter" in record.labels for record in there) == 2
        assert sum("burr" in record.labels for record in there) == pytest.approx(46 * options.shares[split], abs=1)


def test_speakers_are_weighed_by_every_class_of_their_clips() -> None:
    records = [clip(f"{who} {n}", "none", f"s{who}") for who in range(12) for n in range(3)]
    records += [
        replace(clip(f"{who} both {n}", "burr", f"s{who}"), also=("stutter",)) for who in range(4) for n in range(3)
    ]
    plan = plan_splits(records, ("none", "burr", "stutter"), ClipSettings(min_clips_per_class=3), Registry())
    assert {plan.splits[record.id] for record in records if "stutter" in record.labels} == set(SPLITS)
