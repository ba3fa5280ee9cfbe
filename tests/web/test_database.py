"""The database: migrations, deletion, and several processes that start at once; on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from tests.ports import free_port
from tests.web.conftest import PASSWORD, ROOT
from web.accounts.errors import SignInRefused, TooManyAttempts
from web.database import Attempt, Batch, Database, DatabaseError, Session, User, connect
from web.database.engine import MIGRATIONS
from web.database.models import Base
from web.house import build
from web.settings import WebSettings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_migrations_make_what_the_models_say(url: str) -> None:
    database = connect(url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()
    connect(url).close()


def test_rows_of_an_older_version_are_kept(url: str) -> None:
    database = connect(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO users (name, name_key, administrator, created) VALUES ('a', 'a', false, '2026-11-25 12:00:00')"
        )
        connection.exec_driver_sql(
            "INSERT INTO batches (user_id, service_batch, name, created) "
            "SELECT id, 'b', 'calls.zip', created FROM users"
        )
    database.close()
    database = connect(url)
    with database.read() as session:
        row = session.scalars(select(Batch)).one()
    assert (row.service_batch, row.state, row.sides, row.answer, row.archive) == ("b", "waiting", False, {}, None)
    database.close()


@pytest.mark.system
def test_processes_that_start_at_once_migrate_one_after_the_other(url: str) -> None:
    code = f"from web.database import connect; connect({url!r}).close()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(120) for process in started] == [0, 0, 0]


def test_times_keep_their_zone(url: str) -> None:
    database = connect(url)
    written = datetime(2026, 11, 25, 15, tzinfo=timezone(timedelta(hours=3)))
    with database.begin() as session:
        session.add(User(name="a", name_key="a", created=written))
    with database.read() as session:
        read = session.scalars(select(User.created)).one()
    assert read == NOW
    assert read.utcoffset() == timedelta()
    database.close()


def test_what_is_a_users_goes_with_the_user_and_ids_never_return(url: str) -> None:
    database = connect(url)
    with database.begin() as session:
        user = User(name="a", name_key="a")
        session.add(user)
        session.flush()
        session.add(Session(user_id=user.id, token_hash="0" * 64, expires=NOW))
        batch = Batch(user_id=user.id, service_batch="b", name="calls.zip", state="kept", sides=False, answer={})
        session.add(batch)
        answer = {"predict_proba": [1.0], "слово": "р"}
        session.add(
            Attempt(user_id=user.id, language="ru", sounds=["р"], difficulty=1, prompt="П", answer=answer, bundle="b")
        )
        first = user.id
    with database.begin() as session:
        session.delete(session.get_one(User, first))
    with database.begin() as session:
        for table in (Session, Batch, Attempt):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        again = User(name="b", name_key="b")
        session.add(again)
        session.flush()
        assert again.id != first
    database.close()


def test_a_name_is_taken_once_and_a_failed_block_leaves_nothing(url: str) -> None:
    database = connect(url)
    with database.begin() as session:
        session.add(User(name="a", name_key="a"))
    with pytest.raises(IntegrityError):
        _two_users(database, "x", "a")
    with database.read() as session:
        assert session.scalars(select(User.name)).all() == ["a"]
    database.close()


def _two_users(database: Database, *keys: str) -> None:
    with database.begin() as session:
        for key in keys:
            session.add(User(name=key, name_key=key))
            session.flush()


def test_accounts_work_on_it(url: str, tmp_path: Path, quick_hashes: None) -> None:
    house = build(WebSettings(home=tmp_path, database=url))
    house.accounts.register("Анна", PASSWORD, "192.0.2.1", NOW)
    token = house.accounts.sign_in("АННА", PASSWORD, "192.0.2.1", NOW)
    user = house.accounts.user_of(token, NOW)
    assert user is not None
    for _ in range(5):
        with pytest.raises(SignInRefused):
            house.accounts.sign_in("анна", "wrong wrong wrong", "192.0.2.1", NOW)
    with pytest.raises(TooManyAttempts):
        house.accounts.sign_in("анна", "wrong wrong wrong", "192.0.2.1", NOW)
    house.accounts.delete(user, PASSWORD, NOW)
    assert house.accounts.user_of(token, NOW) is None
    house.database.close()


@pytest.mark.parametrize("address", ["mysql://x/y", "sqlite://", "no url", "sqlite:////proc/nothing/web.sqlite"])
def test_a_database_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(DatabaseError):
        connect(address)


def test_an_error_does_not_show_the_databases_password() -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(f"postgresql://vnyatno:hunter2@127.0.0.1:{free_port()}/x")
    assert "hunter2" not in str(caught.value)
