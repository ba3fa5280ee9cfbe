"""Name and password before Dagster.

Only a bcrypt hash of a password is kept, in the form that the proxy reads.
"""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from deploy.front.settings import OFF, PASSWORD_VARIABLE, FrontError, FrontSettings
from speech.files import write_atomically

_BYTES = 15  # of chance in a password that is made: 20 characters, beyond any guessing
_HASH_SECONDS = 30


@dataclass(frozen=True)
class Login:
    """Who is let in to Dagster.

    `told` is what to tell whoever started this. It holds the password itself if that is `new`.
    """

    user: str
    hash: str = field(repr=False)
    told: str = field(repr=False)
    new: bool = False


def dagster_login(settings: FrontSettings, folder: Path, program: str) -> Login | None:
    """The login in force; None where everybody is let in.

    `program` is Caddy, which hashes. Where the environment holds no password, one is made and kept, as a hash, in
    `folder`; it is told only now. Raises `FrontError`.
    """
    if settings.password == OFF:
        return None
    if settings.password:
        return Login(settings.user, _hashed(settings.password, program), f"password as in {PASSWORD_VARIABLE}")
    kept = folder / "dagster-password"
    try:
        return Login(settings.user, kept.read_text(encoding="ascii").strip(), _remedy("as told at first", kept))
    except FileNotFoundError:
        password = secrets.token_urlsafe(_BYTES)
        hashed = _hashed(password, program)
        write_atomically(kept, hashed + "\n", 0o600)
        return Login(settings.user, hashed, _remedy(f"{password}, told this once", kept), new=True)
    except (OSError, UnicodeDecodeError) as error:
        raise FrontError(f"{kept} cannot be read ({error}); delete it, and a new password is made") from error


def _remedy(password: str, kept: Path) -> str:
    return f"password {password}; for another one delete {kept} or set {PASSWORD_VARIABLE}"


def _hashed(password: str, program: str) -> str:
    # By its standard input: what stands in a command line everybody on the machine may read.
    command = [program, "hash-password", "--algorithm", "bcrypt"]
    done = subprocess.run(command, input=password + "\n", capture_output=True, text=True, timeout=_HASH_SECONDS)
    if done.returncode != 0 or not done.stdout.startswith("$2"):
        raise FrontError(f"{program} could not hash Dagster's password: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
