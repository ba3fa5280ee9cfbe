"""Text that somebody typed or named, inside of Streamlit's Markdown."""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=&\"'])")


def plain(text: str) -> str:
    """`text` so that Markdown shows it as it is: no link, picture, colour, formula or heading comes of it."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
