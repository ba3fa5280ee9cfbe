"""Letters that nobody sees: marks of byte order and direction, spaces without width."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """`text` without format characters (Unicode's Cf: U+FEFF, U+200B, U+202A, …), its spaces of one kind.

    Copied paths, joined files and web pages bring them along. Names that differ by nothing else are one name.
    """
    if text.isascii():
        return text
    return "".join(
        " " if unicodedata.category(letter) == "Zs" else letter
        for letter in text
        if unicodedata.category(letter) != "Cf"
    )
