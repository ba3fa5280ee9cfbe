"""Accounts on a real database: names, passwords, throttling, sessions, leaving."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from tests.web.conftest import PASSWORD
from web.accounts.errors import AccountError, NameRefused, PasswordRefused, SignInRefused, TooManyAttempts
from web.accounts.names import clean_name, name_key
from web.accounts.passwords import check_password, hash_password, needs_rehash, verify_password
from web.database import Attempt, Session, User
from web.database.models import Base
from web.house import House, build

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HERE = "192.0.2.7"


def members(here: House, *names: str) -> list[User]:
    """New users, and who they are."""
    found = [here.accounts.user_of(here.accounts.register(name, PASSWORD, HERE, NOW), NOW) for name in names]
    return [user for user in found if user]


def test_names_that_look_alike_are_one(here: House) -> None:
    assert clean_name("  Анна   Б. ") == "Анна Б."
    assert name_key("ＡＮＮＡ") == name_key("anna") == name_key(" Anna ")
    assert name_key("straße") == name_key("STRASSE")
    here.accounts.register("Anna", PASSWORD, HERE, NOW)
    with pytest.raises(NameRefused, match="taken"):
        here.accounts.register("ａｎｎａ", PASSWORD, HERE, NOW)
    assert here.accounts.sign_in("ANNA", PASSWORD, HERE, NOW)


@pytest.mark.parametrize("name", ["", "a", "x" * 65, "an\u202ena", "a\x00b", "...", "\ue000\ue000"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(NameRefused):
        clean_name(name)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "short"),
        ("x" * 201, "long"),
        ("anna karenina", "name"),
        ("Anna Karenina1", "name"),
        ("Qwertyuiop", "common"),
        ("aaaaaaaaaaaa", "common"),
        ("ПАРОЛЬ12345", "common"),
    ],
)
def test_passwords_that_are_none(password: str, why: str) -> None:
    with pytest.raises(PasswordRefused, match=why):
        check_password(password, "Anna Karenina")


def test_hashes_are_argon2id_and_made_anew_when_parameters_change(here: House) -> None:
    hashed = hash_password(PASSWORD)
    assert hashed.startswith("$argon2id$")
    assert verify_password(PASSWORD, hashed)
    assert not verify_password(PASSWORD + "x", hashed)
    assert not verify_password(PASSWORD, None)
    assert not verify_password(PASSWORD, "no hash")
    (user,) = members(here, "anna")
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    assert needs_rehash(weak)
    with here.database.begin() as session:
        session.get_one(User, user.id).password_hash = weak
    here.accounts.sign_in("anna", PASSWORD, HERE, NOW)
    with here.database.read() as session:
        stored = session.get_one(User, user.id).password_hash
    assert stored is not None
    assert not needs_rehash(stored)


def test_an_unknown_name_costs_as_much_as_a_wrong_password(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    members(here, "anna")
    verified: list[str] = []
    true = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", lambda self, *what: (verified.append(what[0]), true(self, *what))[1])
    for name in ("anna", "nobody"):
        with pytest.raises(SignInRefused) as caught:
            here.accounts.sign_in(name, "wrong wrong wrong", HERE, NOW)
        assert caught.value.key == "account_sign_in_refused"
    parameters = {hashed.rsplit("$", 2)[0] for hashed in verified}
    assert (len(verified), len(parameters)) == (2, 1)


def test_guessing_a_name_waits_longer_each_time_and_outlives_a_restart(here: House, tmp_path: Path) -> None:
    members(here, "anna")
    waits, moment = [], NOW
    for number in range(16):
        try:
            here.accounts.sign_in("Anna", "wrong wrong wrong", f"198.51.100.{number}", moment)
        except TooManyAttempts as error:
            waits.append(error.seconds)
            moment += timedelta(seconds=error.seconds)
        except SignInRefused:
            pass
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * waits[0]
    with pytest.raises(SignInRefused):
        here.accounts.sign_in("anna", "wrong wrong wrong", HERE, moment)
    again = build(here.settings)
    with pytest.raises(TooManyAttempts):  # even with the right password
        again.accounts.sign_in("anna", PASSWORD, HERE, moment)
    assert again.accounts.sign_in("anna", PASSWORD, HERE, moment + timedelta(minutes=16))
    again.database.close()


def test_tries_sent_at_once_are_counted(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    members(here, "anna")
    monkeypatch.setattr("web.accounts.registry.verify_password", lambda *_: False)  # a crowd, and no heat
    outcomes: list[str] = []

    def guess() -> None:
        try:
            here.accounts.sign_in("anna", "wrong wrong wrong", HERE, NOW)
        except AccountError as error:
            outcomes.append(type(error).__name__)

    crowd = [threading.Thread(target=guess) for _ in range(12)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert sorted(outcomes) == ["SignInRefused"] * 5 + ["TooManyAttempts"] * 7


def test_guessing_many_names_from_one_network_waits(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.accounts.registry.verify_password", lambda *_: False)
    for number in range(20):
        with pytest.raises(SignInRefused):
            here.accounts.sign_in(f"name {number}", "wrong wrong wrong", f"2001:db8:0:1::{number:x}", NOW)
    with pytest.raises(TooManyAttempts):
        here.accounts.sign_in("name 20", "wrong wrong wrong", "2001:db8:0:1::ffff", NOW)
    with pytest.raises(SignInRefused):
        here.accounts.sign_in("another", "wrong wrong wrong", "2001:db8:0:2::1", NOW)


def test_the_database_knows_no_token(here: House) -> None:
    token = here.accounts.register("anna", PASSWORD, HERE, NOW)
    assert len(token) >= 43  # 256 bits
    with here.database.read() as session:
        kept = "\n".join(repr(row) for table in Base.metadata.sorted_tables for row in session.execute(select(table)))
    assert "anna" in kept
    assert token not in kept
    assert PASSWORD not in kept


def test_sessions_end_by_age_and_by_rest(here: House) -> None:
    settings = here.settings
    token = here.accounts.register("anna", PASSWORD, HERE, NOW)
    day, alive = timedelta(days=1), NOW
    while alive < NOW + timedelta(seconds=settings.session_seconds) - day:
        alive += day
        assert here.accounts.user_of(token, alive)
    assert here.accounts.user_of(token, NOW + timedelta(seconds=settings.session_seconds)) is None
    second = here.accounts.sign_in("anna", PASSWORD, HERE, NOW)
    assert here.accounts.user_of(second, NOW + timedelta(seconds=settings.idle_seconds - 1))
    third = here.accounts.sign_in("anna", PASSWORD, HERE, NOW)
    assert here.accounts.user_of(third, NOW + timedelta(seconds=settings.idle_seconds)) is None


def test_signing_in_ends_the_session_that_was(here: House) -> None:
    first = here.accounts.register("anna", PASSWORD, HERE, NOW)
    second = here.accounts.sign_in("anna", PASSWORD, HERE, NOW, first)
    assert first != second
    assert here.accounts.user_of(first, NOW) is None
    assert here.accounts.user_of(second, NOW)
    here.accounts.sign_out(second)
    assert here.accounts.user_of(second, NOW) is None


def test_another_password_ends_all_sessions(here: House) -> None:
    tokens = [here.accounts.register("anna", PASSWORD, HERE, NOW)]
    tokens.append(here.accounts.sign_in("anna", PASSWORD, HERE, NOW))
    user = here.accounts.user_of(tokens[0], NOW)
    assert user
    with pytest.raises(SignInRefused):
        here.accounts.change_password(user, "wrong wrong wrong", "battery staple horse", NOW)
    with pytest.raises(PasswordRefused):
        here.accounts.change_password(user, PASSWORD, "anna", NOW)
    new = here.accounts.change_password(user, PASSWORD, "battery staple horse", NOW)
    assert [here.accounts.user_of(token, NOW) for token in tokens] == [None, None]
    assert here.accounts.user_of(new, NOW)
    with pytest.raises(SignInRefused):
        here.accounts.sign_in("anna", PASSWORD, HERE, NOW)


def test_leaving_leaves_nothing_and_touches_nobody_else(here: House) -> None:
    anna, boris = members(here, "anna", "boris")
    for user in (anna, boris):
        here.files.of(user.id).add(b"RIFF of " + user.name.encode(), "wav")
        with here.database.begin() as session:
            session.add(
                Attempt(
                    user_id=user.id,
                    language="ru",
                    sounds=["р"],
                    difficulty=1,
                    prompt=f"prompt of {user.name}",
                    answer={},
                    bundle="b",
                )
            )
    with pytest.raises(SignInRefused):
        here.accounts.delete(anna, "wrong wrong wrong", NOW)
    here.accounts.delete(anna, PASSWORD, NOW)
    with here.database.read() as session:
        assert session.scalars(select(User.name)).all() == ["boris"]
        assert session.scalars(select(Attempt.prompt)).all() == ["prompt of boris"]
        assert session.scalar(select(func.count()).select_from(Session)) == 1
    here.database.close()
    kept = b"".join(path.read_bytes() for path in here.settings.home.rglob("*") if path.is_file())
    assert b"anna" not in kept
    assert b"RIFF of boris" in kept


def test_files_of_a_deletion_that_was_cut_short_go_at_the_next_start(here: House) -> None:
    anna, boris = members(here, "anna", "boris")
    for user in (anna, boris):
        here.files.of(user.id).add(b"sound", "wav")
    with here.database.begin() as session:
        session.delete(session.get_one(User, anna.id))
    build(here.settings).database.close()
    assert not here.files.of(anna.id).path.exists()
    assert here.files.of(boris.id).names()


def test_a_ticket_is_good_once_within_a_minute(here: House) -> None:
    members(here, "anna")
    ticket = here.accounts.ticket_for("https://id.example", "42", "anna", NOW)
    assert here.accounts.user_of(ticket, NOW) is None
    token = here.accounts.enter(ticket, NOW)
    user = here.accounts.user_of(token, NOW)
    assert user
    assert (user.name, user.password_hash) == ("anna 2", None)  # not the account of the same name
    assert here.accounts.enter(ticket, NOW) is None
    late = here.accounts.ticket_for("https://id.example", "42", "other", NOW)
    assert here.accounts.enter(late, NOW + timedelta(seconds=60)) is None
    assert here.accounts.enter("", NOW) is None
    with pytest.raises(SignInRefused):
        here.accounts.sign_in("anna 2", "", HERE, NOW)
    other = here.accounts.user_of(
        here.accounts.enter(here.accounts.ticket_for("https://other.example", "42", "", NOW), NOW), NOW
    )
    assert other
    assert other.id != user.id
    here.accounts.delete(other, "", NOW)


def test_the_first_administrator_is_made_once_and_takes_over_nobodys_account(here: House) -> None:
    assert here.accounts.make_administrator("chief", PASSWORD, NOW)
    assert not here.accounts.make_administrator("Chief", PASSWORD, NOW)
    members(here, "anna")
    assert not here.accounts.make_administrator("anna", PASSWORD, NOW)
    with here.database.read() as session:
        assert session.scalars(select(User.name).where(User.administrator)).all() == ["chief"]
