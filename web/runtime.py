"""Streamlit's application, with its uploads on the disk: what it forgets of them is removed there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from streamlit import config
from streamlit.runtime import Runtime, RuntimeConfig
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.session_manager import SessionInfo, SessionStorage
from streamlit.web.cache_storage_manager_config import create_default_cache_storage_manager
from streamlit.web.server.starlette import App
from streamlit.web.server.starlette.starlette_routes import BASE_ROUTE_MEDIA, BASE_ROUTE_UPLOAD_FILE

from web.uploads.register import Uploads

_MOST_AWAY = 128  # sessions, as with Streamlit
_LOOK_SECONDS = 5.0


class Names(MemoryUploadedFileManager):
    """Names and kinds of uploaded files, without a byte of them: `web.uploads.intake` leaves none for Streamlit."""

    def __init__(self, uploads: Uploads) -> None:
        super().__init__(f"/{BASE_ROUTE_UPLOAD_FILE}")
        self._uploads = uploads

    def remove_file(self, session_id: str, file_id: str) -> None:
        super().remove_file(session_id, file_id)
        self._uploads.drop(session_id, file_id)

    def remove_session_files(self, session_id: str) -> None:
        super().remove_session_files(session_id)
        self._uploads.drop_session(session_id)


class Away(SessionStorage):
    """Sessions whose browser is away: it may come back for some seconds, then they end.

    Streamlit's own storage ends a session when Python happens to collect it, and its uploads would lie there till then.
    Used by the event loop's thread alone.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, tuple[float, SessionInfo]] = {}  # in the order in which they end

    def get(self, session_id: str) -> SessionInfo | None:
        until, found = self._until.get(session_id, (0.0, None))
        return found if time.monotonic() < until else None

    def save(self, session_info: SessionInfo) -> None:
        self.delete(session_info.session.id)
        self._until[session_info.session.id] = time.monotonic() + self._seconds, session_info

    def delete(self, session_id: str) -> None:
        self._until.pop(session_id, None)

    def list(self) -> list[SessionInfo]:
        return [found for _, found in self._until.values()]

    def end(self) -> None:
        """End the sessions whose time is over, and the oldest of too many."""
        for session_id, (until, found) in [*self._until.items()]:
            if until > time.monotonic() and len(self._until) <= _MOST_AWAY:
                return
            self.delete(session_id)
            found.session.shutdown()


class Application(App):
    """Streamlit's application for a script; `options` are those of `App`."""

    def __init__(self, uploads: Uploads, script: Path, **options: Any) -> None:
        self._uploads = uploads
        self._away = Away(config.get_option("server.disconnectedSessionTTL"))
        super().__init__(script, **options)

    async def end_sessions(self) -> None:
        """End those whose browser does not come back, until this is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._away.end()

    def _create_runtime(self) -> Runtime:
        # As Streamlit makes its own but for uploads and sessions: `App` has no option for who keeps them.
        return Runtime(
            RuntimeConfig(
                script_path=str(self._resolve_script_path()),
                media_file_storage=MemoryMediaFileStorage(f"/{BASE_ROUTE_MEDIA}"),
                uploaded_file_manager=Names(self._uploads),
                cache_storage_manager=create_default_cache_storage_manager(),
                is_hello=False,
                session_storage=self._away,
                on_script_error=self._on_script_error,
            )
        )
