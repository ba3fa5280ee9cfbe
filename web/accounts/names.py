"""Names of users: what one may be, and when two are the same."""

from __future__ import annotations

import unicodedata

from web.accounts.errors import NameRefused
from web.database.models import NAME_LENGTH

_SHORTEST = 2


def clean_name(text: str) -> str:
    """A name as it is shown: NFKC, single spaces. Raises `NameRefused`."""
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    if not _SHORTEST <= len(name) <= NAME_LENGTH:
        raise NameRefused("account_name_length", least=_SHORTEST, most=NAME_LENGTH)
    # Letters, marks, digits, punctuation and spaces; no control, format (right-to-left marks), private or unassigned.
    if any(unicodedata.category(letter)[0] == "C" for letter in name) or not any(map(str.isalnum, name)):
        raise NameRefused("account_name_letters")
    return name


def name_key(text: str) -> str:
    """What names are compared by: `Анна`, `АННА` and full-width forms are one. Any text has a key."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())[: 4 * NAME_LENGTH]
