"""What a page knows of who looks at it. A page begins with `visit()` or, where one must be signed in, `member()`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st
from sqlalchemy.orm import Session as OrmSession
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.typing import UploadedFile

from web.cookies import LANGUAGE, SESSION
from web.database import User
from web.files import FileError, Folder, Source
from web.house import House, house
from web.language import chosen, text
from web.service import Service


@dataclass(frozen=True)
class Visit:
    """One run of a page for one person. Whoever is signed in was looked up anew for this run."""

    house: House
    user: User | None
    language: str
    zone: str | None
    """The browser's time zone, as `Europe/Moscow`."""

    @property
    def service(self) -> Service:
        """The service."""
        return self.house.service

    def text(self, key: str, **values: object) -> str:
        """A text in the language of this visit."""
        return text(key, self.language, **values)

    def sent(self, file: UploadedFile) -> Source:
        """What an uploader has taken. Its own bytes are none, they lie on the disk. Raises `FileError`."""
        if file.size:  # Streamlit's test harness, which has no server, puts them there all the same
            return file
        return self.house.uploads.find(_session(), file.file_id, self.user.id if self.user else None)

    def sent_bytes(self, file: UploadedFile) -> bytes:
        """The bytes of a recording or a table that an uploader has taken. Raises `FileError`."""
        source, most = self.sent(file), self.house.settings.max_upload_bytes
        try:
            if (source.stat().st_size if isinstance(source, Path) else file.size) > most:
                raise FileError("file_too_large", most)
            return source.read_bytes() if isinstance(source, Path) else file.getvalue()
        except OSError as error:
            raise FileError("file_not_found") from error

    def drop_sent(self, file: UploadedFile) -> None:
        """Forget what an uploader has taken: it is kept, and not needed a second time."""
        self.house.uploads.drop(_session(), file.file_id)


@dataclass(frozen=True)
class Member(Visit):
    """A visit of somebody who is signed in. All queries of a page filter by `user.id`."""

    user: User

    @property
    def files(self) -> Folder:
        """This user's files."""
        return self.house.files.of(self.user.id)

    @contextmanager
    def reading(self) -> Iterator[OrmSession]:
        """A database session for looking only."""
        with self.house.database.read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[OrmSession]:
        """A transaction, committed when the block ends well. Ask the service before it, never in it."""
        with self.house.database.begin() as session:
            yield session


def cookie(name: str) -> str | None:
    """A cookie that the browser sent when it opened the page."""
    return st.context.cookies.get(name)


def _session() -> str:
    """The id of Streamlit's session that this run belongs to."""
    context = get_script_run_ctx()
    assert context is not None
    return context.session_id


def visit() -> Visit:
    """Who looks at this page."""
    here = house()
    user = here.accounts.user_of(cookie(SESSION), datetime.now(UTC))
    wanted = cookie(LANGUAGE) or (user.language if user else None)
    language = chosen(wanted, st.context.locale or st.context.headers.get("Accept-Language"))
    zone = st.context.timezone
    return Member(here, user, language, zone) if user else Visit(here, None, language, zone)


def member() -> Member:
    """Who looks at this page; a stranger is told to sign in, and the page ends there."""
    found = visit()
    if not isinstance(found, Member):
        st.info(found.text("page_needs_account"))
        st.stop()
    return found
