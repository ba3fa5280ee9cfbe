"""Which upload is whose: by Streamlit's session and the id that it gives each file."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from web.files import UPLOAD, FileError, FileStore
from web.uploads.incoming import Incoming, Limits
from web.uploads.processes import Process, living, owner_of


class Uploads:
    """Uploads of this process, each in its user's folder. Thread-safe."""

    def __init__(self, files: FileStore, processes: Path, limits: Limits) -> None:
        """`processes` is the folder of those that live. What dead ones left is removed. Raises OSError."""
        self._files = files
        self._limits = limits
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], tuple[int, Incoming]] = {}
        self._process = Process(processes)
        self._remove_leftovers(processes)

    def begin(self, session: str, file_id: str, owner: int) -> Incoming:
        """An upload that is about to come; one that went by the same id is dropped."""
        name = f"{self._process.name}{secrets.token_hex(8)}.{UPLOAD}"
        made = Incoming(self._files.of(owner), name, self._limits)
        with self._lock:
            _, before = self._held.pop((session, file_id), (0, None))
            self._held[session, file_id] = owner, made
        if before is not None:
            before.drop()
        return made

    def find(self, session: str, file_id: str, owner: int | None) -> Path:
        """Where a whole upload lies. Raises `FileError` where this user has no such upload."""
        with self._lock:
            whose, upload = self._held.get((session, file_id), (None, None))
        if upload is None or whose != owner or not upload.whole:
            raise FileError("file_not_found")
        return upload.path

    def drop(self, session: str, file_id: str) -> None:
        """Remove an upload, if it is there."""
        with self._lock:
            _, upload = self._held.pop((session, file_id), (0, None))
        if upload is not None:
            upload.drop()

    def drop_session(self, session: str) -> None:
        """Remove all uploads of a session that has ended, those on their way as well."""
        self._drop_all(lambda place: place[0] == session)

    def give_up(self, session: str, file_id: str, upload: Incoming) -> None:
        """Remove an upload that failed; another one that goes by its id by now stays."""
        with self._lock:
            if self._held.get((session, file_id), (0, None))[1] is upload:
                del self._held[session, file_id]
        upload.drop()

    def close(self) -> None:
        """Remove all uploads."""
        self._drop_all(lambda _: True)
        self._process.close()

    def _drop_all(self, chosen: Callable[[tuple[str, str]], bool]) -> None:
        with self._lock:
            gone = [self._held.pop(place)[1] for place in list(self._held) if chosen(place)]
        for upload in gone:
            upload.drop()

    def _remove_leftovers(self, processes: Path) -> None:
        # Files first: whoever starts meanwhile is seen to live by then, or has no upload yet.
        there = [path for owner in self._files.owners() for path in self._files.of(owner).path.glob(f"*.{UPLOAD}")]
        alive = living(processes)
        for path in there:
            if owner_of(path.name) not in alive:
                path.unlink(missing_ok=True)
