"""espeak-ng's library: a text as IPA."""

from __future__ import annotations

import pytest

from speech.synthesis.espeak import EspeakError, Synthesiser


def test_clauses_are_told_as_one_line_of_ipa() -> None:
    said = Synthesiser().ipa("Рига, город. Да!", "ru")
    assert len(said.split()) == 3
    assert said.count("ˈ") == 3
    assert "r" in said
    assert "ɡ" in said


def test_nothing_is_no_sound() -> None:
    assert Synthesiser().ipa("", "ru").strip() == ""


def test_an_unknown_voice_is_told() -> None:
    with pytest.raises(EspeakError, match="nobody"):
        Synthesiser().ipa("да", "nobody")
