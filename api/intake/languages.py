"""Languages as OpenAI's clients name them."""

from __future__ import annotations

from functools import cache


@cache
def language_name(code: str) -> str:
    """The English name of a language in lower case, `russian` for `ru`; the code itself where it has none."""
    from babel import Locale

    return str(Locale("en").languages.get(code, code)).lower()
