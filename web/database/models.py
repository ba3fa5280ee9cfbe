"""The tables. Times are UTC and aware. What belongs to a user goes when the user goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAME_LENGTH = 64  # characters of a user's name


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets zones, so one is given back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment without a time zone; use datetime.now(UTC)")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    # Named constraints: a migration can only change what has a name.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


def now() -> datetime:
    """This moment, UTC."""
    return datetime.now(UTC)


class User(Base):
    """A person. `name` as written, `name_key` as compared (see `web.accounts.names`)."""

    __tablename__ = "users"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 an id is never given twice: files hang on it

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    name_key: Mapped[str] = mapped_column(String(4 * NAME_LENGTH), unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)  # none: signs in through OpenID Connect alone
    identity: Mapped[str | None] = mapped_column(String(64), unique=True)  # sha256 of the provider's issuer and subject
    administrator: Mapped[bool] = mapped_column(default=False)
    language: Mapped[str | None] = mapped_column(String(8))
    created: Mapped[datetime] = mapped_column(default=now)


class Session(Base):
    """A browser in which somebody is signed in. The token itself is only in that browser's cookie."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)  # hex sha256
    ticket: Mapped[bool] = mapped_column(default=False)  # good once, to be swapped for a session
    created: Mapped[datetime] = mapped_column(default=now)
    seen: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime] = mapped_column(index=True)


class SignInAttempts(Base):
    """How often somebody tried, under one name or from one address; `subject` is a hex sha256 of which."""

    __tablename__ = "sign_in_attempts"

    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last: Mapped[datetime] = mapped_column(default=now, index=True)
    until: Mapped[datetime] = mapped_column(default=now)  # no further try before this


class Attempt(Base):
    """One recording of one prompt, and what the service answered (its JSON as it came)."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime] = mapped_column(default=now, index=True)
    language: Mapped[str] = mapped_column(String(8))
    sounds: Mapped[list[str]]
    difficulty: Mapped[int]
    prompt: Mapped[str] = mapped_column(Text)
    audio: Mapped[str | None] = mapped_column(String(80))  # a name in the user's `web.files.Folder`
    answer: Mapped[dict[str, Any]]
    bundle: Mapped[str] = mapped_column(String(200))


class Batch(Base):
    """An archive of calls. Names of files are in the user's `web.files.Folder`.

    `state`: `kept` until the service has taken it, then the service's own word. `answer`: what the service said last.
    """

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    service_batch: Mapped[str] = mapped_column(String(200))  # the service's id; empty while `kept`
    name: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(default=now)
    state: Mapped[str] = mapped_column(String(16))
    sides: Mapped[bool]
    archive: Mapped[str | None] = mapped_column(String(80))
    people: Mapped[str | None] = mapped_column(String(80))  # the table of operators and days
    results: Mapped[str | None] = mapped_column(String(80))
    answer: Mapped[dict[str, Any]]


class DiscardedBatch(Base):
    """A batch that the service is still to delete; it belongs to nobody any more.

    Where the service's id is not known it is found by `archive`, the name under which it was sent.
    """

    __tablename__ = "discarded_batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    service_batch: Mapped[str] = mapped_column(String(200))
    archive: Mapped[str] = mapped_column(String(80))
