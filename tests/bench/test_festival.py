"""Festival's recorded voice: what is read from it, and what is said where it is missing."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from bench import festival
from speech.audio.decode import SAMPLE_RATE

PRINTED = "word На\nphone n 0.164625 0.300000\nphone aa 0.300000 0.420000\nword —\nword горе\nphone g 0.42 0.5\n"


def test_phones_are_read_word_by_word() -> None:
    words = festival.words(PRINTED)
    assert [[phone.symbol for phone in word] for word in words] == [["n", "aa"], ["g"]]
    assert words[1][0].start == 0.42


def test_without_festival_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(festival.FestivalError, match=r"apt-get install festival festvox-ru.*--festival 0"):
        festival.check()


@pytest.mark.system
def test_without_the_voice_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(festival, "VOICE", "nobody")
    with pytest.raises(festival.FestivalError, match=r"no voice nobody.*festvox-ru"):
        festival.check()


@pytest.mark.system
def test_a_sentence_is_spoken_with_the_times_of_its_phones() -> None:
    festival.check()
    reading = festival.speak('Старый "рыбак" говорит')
    assert len(reading.words) == 3
    assert [phone.symbol for phone in reading.words[1]] == ["r", "y", "b", "aa", "k"]
    phones = [phone for word in reading.words for phone in word]
    assert all(one.end == pytest.approx(two.start, abs=1e-3) for one, two in itertools.pairwise(phones))
    assert phones[-1].end <= len(reading.sound) / SAMPLE_RATE
    quiet = reading.sound[: round(phones[0].start * SAMPLE_RATE)]
    assert np.std(quiet) < 0.01 * np.std(reading.sound)
