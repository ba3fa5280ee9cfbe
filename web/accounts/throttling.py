"""Guessing is slowed down: after a few tries each further one doubles the wait.

A try is counted before the password is looked at, in one transaction with the check, so that tries sent at once are
counted as well. What is remembered is a hash of the name or address.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as OrmSession

from web.accounts.errors import TooManyAttempts
from web.database import SignInAttempts

_FORGET = timedelta(hours=24)
_LONGEST_WAIT = 900  # seconds: an owner whose name somebody else tries is never shut out for longer
_DOUBLINGS = 10  # 2 ** 10 s is past the longest wait


@dataclass(frozen=True)
class Subject:
    """What tries are counted under. `free`: how many cost nothing."""

    kind: str
    value: str
    free: int

    @property
    def key(self) -> str:
        """The row it is kept under."""
        return hashlib.sha256(f"{self.kind}\n{self.value}".encode()).hexdigest()


def of_name(key: str) -> Subject:
    """Tries under one name, from wherever."""
    return Subject("name", key, free=5)


def of_address(address: str, kind: str = "address", free: int = 20) -> Subject:
    """Tries from one address; of IPv6 a whole /64, which one customer has to himself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return Subject(kind, "unknown", free)
    if isinstance(parsed, IPv6Address):
        return Subject(kind, str(ip_network((parsed, 64), strict=False)), free)
    return Subject(kind, str(parsed), free)


def count_try(session: OrmSession, subjects: list[Subject], now: datetime) -> None:
    """Count one try. Raises `TooManyAttempts` before that where one of the subjects still has to wait."""
    session.execute(delete(SignInAttempts).where(SignInAttempts.last < now - _FORGET))
    rows = [_row(session, subject, now) for subject in sorted(subjects, key=lambda subject: subject.key)]
    wait = max((row.until - now).total_seconds() for row, _ in rows)
    if wait > 0:
        raise TooManyAttempts(int(wait) + 1)
    for row, subject in rows:
        row.count += 1
        row.last = now
        if row.count >= subject.free:
            doublings = min(row.count - subject.free, _DOUBLINGS)
            row.until = now + timedelta(seconds=min(2**doublings, _LONGEST_WAIT))


def forgive(session: OrmSession, subject: Subject) -> None:
    """Forget the tries of a subject, after the right password."""
    session.execute(delete(SignInAttempts).where(SignInAttempts.subject == subject.key))


def give_back(session: OrmSession, subject: Subject, now: datetime) -> None:
    """Take back the last try of a subject, after the right password: a whole office may share an address."""
    row, _ = _row(session, subject, now)
    row.count = max(0, row.count - 1)
    row.until = now


def _row(session: OrmSession, subject: Subject, now: datetime) -> tuple[SignInAttempts, Subject]:
    """The subject's row, made where there is none, locked until the transaction ends."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"subject": subject.key, "count": 0, "last": now, "until": now}
    session.execute(insert(SignInAttempts).values(**values).on_conflict_do_nothing())
    query = select(SignInAttempts).where(SignInAttempts.subject == subject.key).with_for_update()
    return session.execute(query).scalar_one(), subject
