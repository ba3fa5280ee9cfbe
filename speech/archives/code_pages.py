"""In which code page the names of a zip are written: the one in which they read as Russian."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

DOS = "cp866"
_PAGES = {DOS: 0.0, "cp1251": -3.0, "koi8-r": -7.0}
"""What speaks against each page before a name is seen, in nats.

Windows' own zip program writes cp866, some others cp1251; a zip in koi8-r comes from an old Unix. A single short word
may read as Russian in two of them: `сыр` in cp866 is `бла` in cp1251.
"""
# Letters in a thousand of running text, as in the Russian National Corpus; ё is written е as a rule.
_SHARES = {
    "о": 110, "е": 85, "а": 80, "и": 74, "н": 67, "т": 63, "с": 55, "р": 47, "в": 45, "л": 44, "к": 35, "м": 32,
    "д": 30, "п": 28, "у": 26, "я": 20, "ы": 19, "ь": 17, "г": 17, "з": 17, "б": 16, "ч": 14, "й": 12, "х": 10, "ж": 9,
    "ш": 7, "ю": 6, "ц": 5, "щ": 4, "э": 3, "ф": 3, "ё": 1.5, "ъ": 0.4,
}  # fmt: skip
_LETTERS = {letter: math.log(share / 1000) for letter, share in _SHARES.items()}
_USUAL = dict.fromkeys("№«»–—“”…\u00a0", -6.0) | dict.fromkeys("ієїґўІЄЇҐЎ", -8.0)  # the latter are neighbours' letters
_STRANGE = -9.0  # boxes, currencies, mathematics
_WORD = re.compile("[а-яё]+", re.IGNORECASE)
_VOWEL = re.compile("[аеёиоуыэюя]", re.IGNORECASE)
_CHANGE = re.compile("[а-яё][А-ЯЁ]")  # a capital after a small letter
_HARDLY = -4.0  # for what Russian words hardly do: begin with ъ, ь or ы, go on with a capital
_VOWELLESS = -1.5  # abbreviations and prepositions do it


def code_page(names: Iterable[bytes]) -> str:
    """The code page of names that are no UTF-8, all of one packer: the one in which they are likeliest."""
    different = sorted(set(names))
    return max(_PAGES, key=lambda page: _PAGES[page] + sum(_likelihood(name, page) for name in different))


def _likelihood(name: bytes, page: str) -> float:
    """How likely a name is in Russian, as the logarithm of its letters' shares and of what words hardly do."""
    text = name.decode(page, "replace")
    said = sum(_LETTERS.get(letter.lower(), _USUAL.get(letter, _STRANGE)) for letter in text if letter > "\x7f")
    for word in _WORD.findall(text):
        said += _HARDLY * ((word[0].lower() in "ъьы") + len(_CHANGE.findall(word)))
        if len(word) > 1 and not _VOWEL.search(word):
            said += _VOWELLESS
    return said
