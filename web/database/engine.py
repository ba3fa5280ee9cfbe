"""Connecting, and bringing the tables up to date, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_LOCK = 0x766E7961746E6F  # PostgreSQL's advisory lock for migrating; "vnyatno" in ASCII
_BUSY_SECONDS = 15  # how long a writer waits for another


class DatabaseError(RuntimeError):
    """The database cannot be used; the message names it (without its password) and the remedy."""


class Database:
    """Short transactions on one database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = sessionmaker(engine, expire_on_commit=False)
        self._reading = sessionmaker(engine.execution_options(reading=True), expire_on_commit=False, autoflush=False)

    @contextmanager
    def begin(self) -> Iterator[OrmSession]:
        """A transaction: committed when the block ends well, else rolled back. Rows stay readable after it.

        On SQLite it takes the write lock at once, so that what was read cannot change before it is written.
        """
        with self._writing.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[OrmSession]:
        """For looking only; waits for no writer. Nothing that the block changes is kept."""
        with self._reading() as session:
            yield session

    def close(self) -> None:
        """Drop all connections."""
        self.engine.dispose()


def connect(url: str) -> Database:
    """Open the database at an SQLAlchemy URL and bring its tables up to date. Raises `DatabaseError`."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise DatabaseError("VNYATNO_WEB_DATABASE is no database URL, like postgresql://user@host/name") from error
    shown = address.render_as_string(hide_password=True)
    kind = address.get_backend_name()
    if kind not in ("sqlite", "postgresql") or (kind == "sqlite" and not address.database):
        raise DatabaseError(f"{shown}: only sqlite with a file, and postgresql, are supported")
    try:
        database = Database(_sqlite(address) if kind == "sqlite" else _postgresql(address))
        _upgrade(database.engine)
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseError(f"{shown} cannot be used: {getattr(error, 'orig', None) or error}") from error
    except CommandError as error:
        raise DatabaseError(f"{shown} was made by another version of this application: {error}") from error
    return database


def _postgresql(address: URL) -> Engine:
    return create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _sqlite(address: URL) -> Engine:
    Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
    # Without an isolation level sqlite3 leaves BEGIN to the event below.
    engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _alone(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction in which no other process migrates."""
    if engine.dialect.name == "sqlite":
        with FileLock(f"{engine.url.database}.lock", timeout=60), engine.begin() as connection:
            yield connection
        return
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection
