"""Which letters р and г sound, and when: phones of a reading laid over its text.

A letter is not a phone. The г of -ого and -его is a [v], one at a word's end is devoiced, and a [g] may be a к before a
voiced sound. A letter counts where the text has it, the phone at its place is its own, and neither rule leaves it out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from bench.corpora.clips import Timed
from bench.festival import LETTERS, VOWELS

# Words and their like in which -ого is a [g].
PLAIN_G = re.compile(r"^(не|на|по)?(много|строго|дорого|убого|полого|отлого)$")
_VOWEL = "а"
_SILENT = "ъьй"  # й is a [j], which is left out on both sides: я and ё have one that is not written
# Voiced and voiceless are one, so that a devoiced letter still finds its phone.
_LIKE = str.maketrans("бдгвзжщеёиоуыэюя", "пткфсшшааааааааа")
_PHONES = {
    **dict.fromkeys(("b", "p"), "п"), **dict.fromkeys(("d", "t"), "т"), **dict.fromkeys(("g", "k"), "к"),
    **dict.fromkeys(("v", "f"), "ф"), **dict.fromkeys(("z", "s"), "с"), **dict.fromkeys(("zh", "sh", "sch"), "ш"),
    "ch": "ч", "c": "ц", "h": "х", "m": "м", "n": "н", "l": "л", "r": "р",
}  # fmt: skip


def sounding(text: str, phones: Sequence[Timed]) -> tuple[Timed, ...]:
    """The letters р and г of `text` with the times of their phones, which are named as in Festival's Russian voice."""
    written = [letter for word in words(text) for letter in _written(word)]
    spoken = [(_like(symbol), letter) for letter, symbol in ((phone, phone[0]) for phone in phones)]
    heard = [(skeleton, phone) for skeleton, phone in spoken if skeleton]
    matcher = SequenceMatcher(
        None, [skeleton for skeleton, _, _ in written], [skeleton for skeleton, _ in heard], autojunk=False
    )
    found = []
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            _, letter, sounds = written[block.a + offset]
            symbol, start, end = heard[block.b + offset][1]
            if sounds and LETTERS.get(symbol) == letter:
                found.append((letter, start, end))
    return tuple(found)


def words(text: str) -> list[str]:
    """The words of a text in small letters; a + before a stressed vowel is no letter."""
    return re.findall(r"[а-яё]+", text.lower().replace("+", ""))


def _written(word: str) -> list[tuple[str, str, bool]]:
    """(skeleton, letter, whether it counts) of each letter that sounds."""
    return [
        (letter.translate(_LIKE), letter, letter in "рг" and not _other_sound(word, index))
        for index, letter in enumerate(word)
        if letter not in _SILENT
    ]


def _other_sound(word: str, index: int) -> bool:
    """Whether the г at `index` is spoken as another sound."""
    if word[index] != "г":
        return False
    if index == len(word) - 1:
        return True
    return index == len(word) - 2 and word.endswith(("ого", "его")) and not PLAIN_G.match(word)


def _like(symbol: str) -> str:
    if symbol in VOWELS:
        return _VOWEL
    soft = len(symbol) == 2 and symbol[0] == symbol[1]
    return _PHONES.get(symbol[0] if soft else symbol, "")
