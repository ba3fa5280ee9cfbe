"""What a person does with an account. Every function is one or two short transactions; hashing is outside of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from itertools import chain, count

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from web.accounts import sessions, throttling
from web.accounts.errors import NameRefused, SignInRefused
from web.accounts.names import clean_name, name_key
from web.accounts.passwords import check_password, hash_password, needs_rehash, verify_password
from web.calls.discards import discard_all
from web.database import Database, User
from web.database.models import NAME_LENGTH
from web.files import FileStore
from web.settings import WebSettings


class Accounts:
    """The accounts of one installation."""

    def __init__(self, settings: WebSettings, database: Database, files: FileStore) -> None:
        self._settings = settings
        self._database = database
        self._files = files

    def register(self, name: str, password: str, address: str, now: datetime, language: str | None = None) -> str:
        """Make an account and sign in: the session's token. Raises `AccountError`."""
        shown = clean_name(name)
        check_password(password, shown)
        with self._database.begin() as session:
            throttling.count_try(session, [throttling.of_address(address, "register")], now)
        hashed = hash_password(password)
        try:
            with self._database.begin() as session:
                user = User(name=shown, name_key=name_key(shown), password_hash=hashed, language=language, created=now)
                session.add(user)
                session.flush()
                return sessions.open_session(session, user.id, self._settings.session_seconds, now)
        except IntegrityError as error:
            raise NameRefused("account_name_taken") from error

    def sign_in(self, name: str, password: str, address: str, now: datetime, old_token: str | None = None) -> str:
        """The token of a new session; that of `old_token` ends. Raises `SignInRefused` or `TooManyAttempts`."""
        key = name_key(name)
        subject, origin = throttling.of_name(key), throttling.of_address(address)
        with self._database.begin() as session:
            throttling.count_try(session, [subject, origin], now)
        with self._database.read() as session:
            user = session.execute(select(User).where(User.name_key == key)).scalar_one_or_none()
        hashed = user.password_hash if user else None
        if not verify_password(password, hashed) or user is None or hashed is None:
            raise SignInRefused("account_sign_in_refused")
        renewed = hash_password(password) if needs_rehash(hashed) else hashed
        with self._database.begin() as session:
            current = session.get(User, user.id, with_for_update=True)
            if current is None or current.password_hash != hashed:  # changed or deleted meanwhile
                raise SignInRefused("account_sign_in_refused")
            current.password_hash = renewed
            throttling.forgive(session, subject)
            throttling.give_back(session, origin, now)
            sessions.close_session(session, old_token)
            return sessions.open_session(session, user.id, self._settings.session_seconds, now)

    def user_of(self, token: str | None, now: datetime) -> User | None:
        """Who is signed in with a token. The session counts as used."""
        with self._database.read() as session:
            user, stale = sessions.find_user(session, token, self._settings.idle_seconds, now)
        if user and token and stale:
            with self._database.begin() as session:
                sessions.touch(session, token, now)
        return user

    def sign_out(self, token: str | None) -> None:
        """End one session."""
        with self._database.begin() as session:
            sessions.close_session(session, token)

    def sign_out_everywhere(self, user_id: int) -> None:
        """End all sessions of a user."""
        with self._database.begin() as session:
            sessions.close_all(session, user_id)

    def change_password(self, user: User, old: str, new: str, now: datetime) -> str:
        """Set another password and end all sessions; the token of a new one. Raises `AccountError`."""
        self._confirm(user, old, now)
        check_password(new, user.name)
        hashed = hash_password(new)
        with self._database.begin() as session:
            current = session.get(User, user.id, with_for_update=True)
            if current is None or current.password_hash != user.password_hash:
                raise SignInRefused("account_password_wrong")
            current.password_hash = hashed
            sessions.close_all(session, user.id)
            return sessions.open_session(session, user.id, self._settings.session_seconds, now)

    def delete(self, user: User, password: str, now: datetime) -> None:
        """Delete the account with everything that is its user's: rows, files, caches; what the service has of
        it is left to `web.calls.discards`. Raises `AccountError`."""
        if user.password_hash is not None:
            self._confirm(user, password, now)
        with self._database.begin() as session:
            found = session.get(User, user.id)
            if found:
                discard_all(session, user.id)
                session.delete(found)  # the tables' foreign keys take the rest along
        self._files.delete(user.id)

    def remember_language(self, user_id: int, language: str) -> None:
        """Keep the language that a user chose."""
        with self._database.begin() as session:
            user = session.get(User, user_id)
            if user:
                user.language = language

    def ticket_for(self, issuer: str, subject: str, name: str, now: datetime) -> str:
        """A ticket for whom a provider of OpenID Connect vouches; an account is made at the first time."""
        identity = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()
        with self._database.begin() as session:
            user = session.execute(select(User).where(User.identity == identity)).scalar_one_or_none()
            if user is None:
                # Never joined to an account of the same name: the provider does not vouch for that.
                shown = _free_name(
                    name, lambda key: session.scalar(select(User.id).where(User.name_key == key)) is None
                )
                user = User(name=shown, name_key=name_key(shown), identity=identity, created=now)
                session.add(user)
                session.flush()
            return sessions.open_ticket(session, user.id, now)

    def enter(self, ticket: str, now: datetime) -> str | None:
        """The session's token for a ticket; None where the ticket is no good."""
        with self._database.begin() as session:
            return sessions.redeem_ticket(session, ticket, self._settings.session_seconds, now)

    def make_administrator(self, name: str, password: str, now: datetime) -> bool:
        """Make the first administrator's account unless the name has one; whether it was made.

        Raises `AccountError` for a name or password that is no good. An existing account is left as it is: whoever
        registered the name before does not become an administrator by it.
        """
        shown = clean_name(name)
        check_password(password, shown)
        key = name_key(shown)
        with self._database.read() as session:
            if session.scalar(select(User.id).where(User.name_key == key)) is not None:
                return False
        row = User(name=shown, name_key=key, password_hash=hash_password(password), administrator=True, created=now)
        try:
            with self._database.begin() as session:
                session.add(row)
        except IntegrityError:  # another process was faster
            return False
        return True

    def _confirm(self, user: User, password: str, now: datetime) -> None:
        subject = throttling.of_name(f"confirm {user.id}")
        with self._database.begin() as session:
            throttling.count_try(session, [subject], now)
        if not verify_password(password, user.password_hash):
            raise SignInRefused("account_password_wrong")
        with self._database.begin() as session:
            throttling.forgive(session, subject)


def _free_name(wanted: str, free: Callable[[str], bool]) -> str:
    """A name that may be used and nobody has: as wanted, or with a number behind it."""
    try:
        base = clean_name(wanted[: NAME_LENGTH - 8])
    except NameRefused:
        base = "user"
    numbered = (f"{base} {number}" for number in count(2))
    return next(name for name in chain((base,), numbered) if free(name_key(name)))
