"""A folder made of a recipe: its table, what is left out, and a run that was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpora.__main__ import RECIPES, listing, main
from bench.corpora.clips import Clip, CorpusError, read_clips
from bench.corpora.recipe import NOTES, Item, Recipe, Recorded, make
from speech.audio.decode import AudioError

TONE = 0.1 * np.sin(np.arange(8000, dtype=np.float32))
CLIP = Clip("wav/0.wav", "гора, да", "anna", "ru", "here", "CC0", may_ship=True)
TIMED = Recorded(TONE, (("g", 0.0, 0.1),), (("г", 0.0, 0.1),))


class Recorder:
    """Records clips 0, 1, … and stops at one, as if it was interrupted."""

    def __init__(self, count: int, stop_at: int = -1, silent: int = -1) -> None:
        self.count, self.stop_at, self.silent, self.made = count, stop_at, silent, list[int]()

    def record(self, number: int) -> Recorded:
        if number == self.stop_at:
            raise KeyboardInterrupt
        if number == self.silent:
            raise AudioError("silent", "nothing is heard")
        self.made.append(number)
        return TIMED

    def items(self, store: Path, report: object) -> Sequence[Item]:
        rows = [Clip(f"wav/{n}.wav", "гора, да", "anna", "ru", "here", "CC0", True) for n in range(self.count)]
        return [Item(row, lambda number=number: self.record(number)) for number, row in enumerate(rows)]  # type: ignore[misc]

    @property
    def recipe(self) -> Recipe:
        return Recipe("tones", 0, "CC0", "nothing", self.items)


def quiet(line: str) -> None:
    return None


def test_the_table_tells_all_that_is_known(tmp_path: Path) -> None:
    make(Recorder(1).recipe, tmp_path, quiet)
    (clip,) = read_clips(tmp_path / "tones")
    assert (clip.text, clip.speaker, clip.may_ship) == (CLIP.text, CLIP.speaker, True)
    assert (clip.phones, clip.letters) == (TIMED.phones, TIMED.letters)
    sound, rate = soundfile.read(tmp_path / "tones" / clip.file, dtype="float32")
    assert rate == 16_000
    assert np.allclose(sound, TONE, atol=1e-4)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(Recorder(4, stop_at=2).recipe, tmp_path, quiet)
    assert not (tmp_path / "tones" / "clips.csv").exists()
    with (tmp_path / "tones" / NOTES).open("a") as notes:
        notes.write('{"file": "wav/2.w')  # what a crash leaves of a line
    again = Recorder(4)
    clips = make(again.recipe, tmp_path, quiet)
    assert again.made == [2, 3]
    assert [clip.file for clip in clips] == [f"wav/{n}.wav" for n in range(4)]
    assert read_clips(tmp_path / "tones") == clips
    assert not (tmp_path / "tones" / NOTES).exists()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    make(Recorder(2).recipe, tmp_path, quiet)
    again = Recorder(2)
    said: list[str] = []
    assert make(again.recipe, tmp_path, said.append) == []
    assert again.made == []
    assert "already" in said[0]


def test_a_recording_without_sound_is_left_out_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    clips = make(Recorder(3, silent=1).recipe, tmp_path, said.append)
    assert [clip.file for clip in clips] == ["wav/0.wav", "wav/2.wav"]
    assert said[-1].endswith("1 without sound left out")


def test_a_corpus_that_is_not_there_is_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"python -m bench\.corpora --to .* tones"):
        read_clips(tmp_path / "tones")


def test_another_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("file,label\na.wav,burr\n")
    with pytest.raises(CorpusError, match="no table of clips"):
        read_clips(tmp_path)


def test_without_names_all_corpora_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == listing()
    assert all(f"| {name} | " in listing() for name in RECIPES)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nobody"])
    assert "there is no corpus nobody" in capsys.readouterr().err
