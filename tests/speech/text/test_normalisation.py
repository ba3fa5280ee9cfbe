"""What texts are compared as: Cyrillic and digits stay, marks and punctuation go, ё is е where the language says so."""

from __future__ import annotations

import unicodedata

import pytest

from speech.text.language import load_language
from speech.text.normalisation import normalise


@pytest.mark.parametrize(
    ("code", "text", "same"),
    [
        ("ru", "Ёлка, ещё — зелёная!", "елка еще зеленая"),
        ("ru", "кто-то сказал: «Да»…</s>", "кто то сказал да"),
        ("ru", "<pad>Принять 2,5 мг<unk> в 18:30", "принять 2 5 мг в 18 30"),
        ("ru", "за́мок", "замок"),
        ("ru", unicodedata.normalize("NFD", "йод и её"), "йод и ее"),
        ("ru", "подъезд съёмка объявление", "подъезд съемка объявление"),
        ("en", "CARRY the Café's menu.</s>", "carry the cafes menu"),
        ("en", "CT of the chest {period} {new paragraph} [FINDINGS] None {comma}", "ct of the chest findings none"),
        ("en", "don\u2019t", "dont"),
        ("en", " \t\n ", ""),
        ("en", "हिन्दी", "हिन्दी"),
    ],
)  # fmt: skip
def test_texts(code: str, text: str, same: str) -> None:
    assert normalise(text, load_language(code)) == same


@pytest.mark.parametrize("code", ["ru", "en"])
def test_a_language_s_letters_survive_and_twice_is_once(code: str) -> None:
    language = load_language(code)
    once = normalise(language.alphabet + " 0123456789", language)
    assert once == language.alphabet.replace("ё", "е") + " 0123456789"
    assert normalise(once, language) == once


def test_counting_letters_does_not_hang_on_how_transcripts_are_compared() -> None:
    assert "transcripts" not in load_language("ru").counting()
