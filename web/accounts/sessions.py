"""Sessions: 256 random bits in a browser's cookie, their SHA-256 here."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as OrmSession

from web.database import Session, User

_TICKET_SECONDS = 60
_SEEN_EVERY = timedelta(minutes=1)  # a session in use is written no more often than this


def token_hash(token: str) -> str:
    """What the database knows of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(session: OrmSession, user_id: int, seconds: int, now: datetime) -> str:
    """Sign a user in; the token that goes into the cookie. Sessions that are over are swept out."""
    session.execute(delete(Session).where(Session.expires < now))
    return _add(session, user_id, seconds, now, ticket=False)


def open_ticket(session: OrmSession, user_id: int, now: datetime) -> str:
    """A token that can be swapped for a session, once and within a minute."""
    return _add(session, user_id, _TICKET_SECONDS, now, ticket=True)


def redeem_ticket(session: OrmSession, ticket: str, seconds: int, now: datetime) -> str | None:
    """A session's token for a ticket; None where the ticket is no good (any more)."""
    query = delete(Session).where(Session.token_hash == token_hash(ticket), Session.ticket, Session.expires > now)
    user_id = session.execute(query.returning(Session.user_id)).scalar_one_or_none()
    return None if user_id is None else open_session(session, user_id, seconds, now)


def find_user(session: OrmSession, token: str | None, idle_seconds: int, now: datetime) -> tuple[User | None, bool]:
    """Whose session a token is, and whether it is time to `touch` it; None where it is nobody's or over."""
    if not token:
        return None, False
    query = select(User, Session.seen).join(Session, Session.user_id == User.id)
    query = query.where(Session.token_hash == token_hash(token), Session.ticket.is_(False), Session.expires > now)
    found = session.execute(query.where(Session.seen > now - timedelta(seconds=idle_seconds))).one_or_none()
    return (found[0], now - found[1] > _SEEN_EVERY) if found else (None, False)


def touch(session: OrmSession, token: str, now: datetime) -> None:
    """Note that a session is in use."""
    row = session.execute(select(Session).where(Session.token_hash == token_hash(token))).scalar_one_or_none()
    if row:
        row.seen = now


def close_session(session: OrmSession, token: str | None) -> None:
    """End the session of a token, if there is one."""
    if token:
        session.execute(delete(Session).where(Session.token_hash == token_hash(token)))


def close_all(session: OrmSession, user_id: int) -> None:
    """End every session of a user, everywhere."""
    session.execute(delete(Session).where(Session.user_id == user_id))


def _add(session: OrmSession, user_id: int, seconds: int, now: datetime, ticket: bool) -> str:
    token = secrets.token_urlsafe(32)
    expires = now + timedelta(seconds=seconds)
    row = Session(user_id=user_id, token_hash=token_hash(token), ticket=ticket, created=now, seen=now, expires=expires)
    session.add(row)
    return token
