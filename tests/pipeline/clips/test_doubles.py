"""Equal sound is kept once; where the labels disagree it is not kept at all."""

from __future__ import annotations

from dataclasses import replace

from pipeline.clips.doubles import resolve_doubles
from pipeline.clips.records import ClipRecord

CLIP = ClipRecord(
    id="aa",
    archive="one",
    file="a.wav",
    row=2,
    sha256="aa",
    content="aa",
    label="burr",
    speaker="anna",
    text=None,
    group=None,
    split=None,
    seconds=1.0,
    source_rate=16_000,
    channels=1,
    level_dbfs=-20.0,
    peak_dbfs=-3.0,
    clipped_share=0.0,
    silent_share=0.1,
    offset=0,
    length=16_000,
)


def test_different_sound_is_kept() -> None:
    other = replace(CLIP, content="bb", label="none")
    assert resolve_doubles([CLIP, other]) == ([CLIP, other], [], [], [])


def test_equal_labels_keep_the_first() -> None:
    kept, doubles, faults, notes = resolve_doubles([CLIP, replace(CLIP, file="b.wav", row=3)])
    assert kept == [CLIP]
    assert [(double.file, double.row, double.of) for double in doubles] == [("b.wav", 3, "aa")]
    assert not faults
    assert not notes


def test_the_labelled_one_is_kept() -> None:
    unlabelled = replace(CLIP, file="b.wav", row=None, label=None)
    assert resolve_doubles([unlabelled, CLIP])[0] == [CLIP]


def test_the_one_with_a_speaker_is_kept() -> None:
    assert resolve_doubles([replace(CLIP, speaker=None), CLIP])[0] == [CLIP]


def test_labels_that_disagree_quarantine_all_and_name_each_other() -> None:
    other = replace(CLIP, archive="two", file="b.wav", row=7, label="none")
    unlabelled = replace(CLIP, file="c.wav", row=None, label=None)
    kept, doubles, faults, _ = resolve_doubles([CLIP, other, unlabelled])
    assert not kept
    assert not doubles
    assert [fault.code for fault in faults] == ["double_disagrees"] * 3
    assert "this row says burr, two row 7 says none" in faults[0].message
    assert "one row 2 says burr" in faults[1].message


def test_one_sound_for_two_speakers_is_said() -> None:
    notes = resolve_doubles([CLIP, replace(CLIP, row=3, speaker="boris")])[3]
    assert len(notes) == 1
    assert "one/anna, one/boris" in notes[0]


def test_names_of_different_archives_may_differ() -> None:
    assert not resolve_doubles([CLIP, replace(CLIP, archive="two", speaker="a1")])[3]
