"""Keys to the service: `VNYATNO_HOME/keys.yaml` says whose there are, what each may do, and how often.

The file never holds a key, only a hash of it. A key is 256 random bits, so there is nothing to guess that a slow hash
(argon2id) would have to guard; a slow one would only let strangers burn the service's time with invented keys. The salt
keeps two files from showing that they hold the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import yaml
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speech.files import write_atomically
from speech.home import Home

PREFIX = "vny_"  # by which a key that leaked into a log or a repository is recognised
DEFAULT_PER_MINUTE = 60
MOST_PER_MINUTE = 1_000_000
_KEY_BYTES = 32
_SALT_BYTES = hashlib.blake2b.SALT_SIZE
_PURPOSE = b"vnyatno key"
_NAME = re.compile(r"\w[\w.@ -]{0,63}")
_LOCK_SECONDS = 30.0
_HEAD = (
    "# Who may use the service; written by `make key` and `make revoke-key`. Hashes only: a lost key is made anew.\n"
)

Role = Literal["predict", "admin"]


class KeyFileError(ValueError):
    """The list of keys cannot be read or changed; the message names the file and the entry."""


class Key(BaseModel):
    """One entry. Times are UTC, ISO 8601; `hash` and `salt` are hexadecimal; an admin may predict too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    role: Role
    created: str
    per_minute: int = Field(ge=1, le=MOST_PER_MINUTE)
    revoked: str | None = None
    salt: str = Field(pattern=f"^[0-9a-f]{{{2 * _SALT_BYTES}}}$")
    hash: str = Field(pattern="^[0-9a-f]{64}$")

    def opens(self, token: str) -> bool:
        """Whether `token` is this key; takes the same time whatever the answer."""
        return hmac.compare_digest(_hash(token, self.salt), self.hash)


def keys_file(home: Home) -> Path:
    """Where the list of keys stands."""
    return home.root / "keys.yaml"


def read_keys(home: Home) -> list[Key]:
    """All keys, revoked ones too; none where there is no file. Raises `KeyFileError`."""
    path = keys_file(home)
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise KeyFileError(f"{path} cannot be read; it must belong to the user that runs the service") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error
    entries = value.get("keys") if isinstance(value, dict) and set(value) == {"keys"} else None
    if not isinstance(entries, list):
        raise KeyFileError(f"{path} holds no list `keys`; mend it, or delete it and make the keys anew")
    keys = []
    for number, entry in enumerate(entries, start=1):
        try:
            keys.append(Key.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "entry"
            raise KeyFileError(f"{path}, key {number}, {field}: {first['msg']}") from error
    return keys


def make_key(home: Home, name: str, role: Role = "predict", per_minute: int = DEFAULT_PER_MINUTE) -> str:
    """Add a key and return it; nobody can see it again. Raises `KeyFileError`."""
    if not _NAME.fullmatch(name):
        raise KeyFileError(f"{name!r} cannot name a key; take up to 64 letters, digits, spaces and . @ _ -")
    token = PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    salt = secrets.token_hex(_SALT_BYTES)
    try:
        key = Key(
            name=name,
            role=role,
            created=_now(),
            per_minute=per_minute,
            revoked=None,
            salt=salt,
            hash=_hash(token, salt),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise KeyFileError(f"{first['loc'][0]}: {first['msg']} (got {first['input']!r})") from error
    with _lock(home):
        keys = read_keys(home)
        if any(known.name == name and known.revoked is None for known in keys):
            raise KeyFileError(f"there is a key named {name!r} already; revoke it first, or take another name")
        _write(home, [*keys, key])
    return token


def revoke_key(home: Home, name: str) -> None:
    """Take a key back; its entry stays, so that whoever uses it is told. Raises `KeyFileError`."""
    with _lock(home):
        keys = read_keys(home)
        if not any(key.name == name and key.revoked is None for key in keys):
            known = ", ".join(sorted(key.name for key in keys if key.revoked is None)) or "none"
            raise KeyFileError(f"there is no key named {name!r} to revoke; there are: {known}")
        now = _now()
        _write(
            home,
            [
                key.model_copy(update={"revoked": now}) if key.name == name and key.revoked is None else key
                for key in keys
            ],
        )


def find(keys: Iterable[Key], token: str) -> Key | None:
    """The key that `token` is. All are compared, so that the time tells nothing of which one it was, if any."""
    found = None
    for key in keys:
        if key.opens(token):
            found = key
    return found


def _hash(token: str, salt: str) -> str:
    salted = hashlib.blake2b(token.encode(), digest_size=32, salt=bytes.fromhex(salt), person=_PURPOSE)
    return salted.hexdigest()


def _lock(home: Home) -> FileLock:
    home.root.mkdir(parents=True, exist_ok=True)
    return FileLock(keys_file(home).with_suffix(".lock"), timeout=_LOCK_SECONDS)


def _write(home: Home, keys: Iterable[Key]) -> None:
    text = yaml.safe_dump({"keys": [key.model_dump() for key in keys]}, sort_keys=False, allow_unicode=True)
    write_atomically(keys_file(home), _HEAD + text, mode=0o600)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
