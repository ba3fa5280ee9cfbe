"""Passwords: the rules, and argon2id hashes."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from web.accounts.errors import PasswordRefused
from web.accounts.names import name_key

SHORTEST = 10
LONGEST = 200  # characters; hashing takes time with length, so there is an end
_HASHER = PasswordHasher()  # RFC 9106's second choice: 64 MiB, 3 passes
_PLACES = threading.BoundedSemaphore(2)  # each takes these 64 MiB; a crowd waits instead of filling memory


def check_password(password: str, name: str) -> None:
    """Raises `PasswordRefused` for a password that is short, long, the name, or on everybody's list."""
    plain = _normal(password)
    if len(plain) < SHORTEST:
        raise PasswordRefused("account_password_short", least=SHORTEST)
    if len(plain) > LONGEST:
        raise PasswordRefused("account_password_long", most=LONGEST)
    folded, own = plain.casefold(), name_key(name)
    if folded == own or folded.replace(own, "").strip("0123456789 .-_!") == "":
        raise PasswordRefused("account_password_name")
    if len(set(folded)) < 4 or folded in _common():
        raise PasswordRefused("account_password_common")


def hash_password(password: str) -> str:
    """An argon2id hash with its parameters and salt in it."""
    with _PLACES:
        return _HASHER.hash(_normal(password))


def verify_password(password: str, hashed: str | None) -> bool:
    """Whether the password made this hash. Takes the same time where there is none."""
    with _PLACES:
        try:
            return _HASHER.verify(hashed or _nobodys(), _normal(password)) and hashed is not None
        except (Argon2Error, InvalidHashError):
            return False


def needs_rehash(hashed: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(hashed)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)  # two keyboards may compose й differently


@cache
def _nobodys() -> str:
    return _HASHER.hash("a password that belongs to nobody")


@cache
def _common() -> frozenset[str]:
    path = Path(__file__).with_name("common_passwords.txt")
    return frozenset(path.read_text(encoding="utf-8").split())
