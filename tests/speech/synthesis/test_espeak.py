"""espeak-ng's library: a text as IPA."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import espeakng_loader
import pytest

from speech.synthesis.espeak import EspeakError, Synthesiser


def test_clauses_are_told_as_one_line_of_ipa() -> None:
    said = Synthesiser().ipa("Рига, город. Да!", "ru")
    assert len(said.split()) == 3
    assert said.count("ˈ") == 3
    assert "r" in said
    assert "ɡ" in said


def test_the_library_is_initialised_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once more would free the phonemes that the chosen voice reads: 'xdtsɛ' was heard for 'rʲˈiɡa'."""
    first = Synthesiser()
    said = first.ipa("Рига, город. Да!", "ru")
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: "/no/such/folder")
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(lambda _: Synthesiser(), range(4)))
    assert {other.rate for other in others} == {first.rate}
    assert {speaker.ipa("Рига, город. Да!", "ru") for speaker in (first, *others)} == {said}


def test_nothing_is_no_sound() -> None:
    assert Synthesiser().ipa("", "ru").strip() == ""


def test_an_unknown_voice_is_told() -> None:
    with pytest.raises(EspeakError, match="nobody"):
        Synthesiser().ipa("да", "nobody")
