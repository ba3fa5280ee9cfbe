"""A worker's side of batches: they are taken in within bounds, and a crew judges them behind everything else."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from api.intake.problems import Problem
from api.intake.uploads import Form, UploadLimits, no_room, require_free
from api.settings import ServiceSettings
from api.threads import beside
from api.worker.core_share import TURN_SECONDS
from api.worker.windows import LOOK_SECONDS, Windows
from api.worker.words import no_whisper
from calls.archive import CallArchive, NewCall, NewCallArchive
from calls.crew import Crew
from calls.errors import IntakeError, disk_full
from calls.holders import Locked
from calls.intake import ARCHIVE, FILES, IntakeLimits, allowed_folder, from_files, from_folder, from_zip, is_zip
from calls.keeping import LOCK, delete, remove_uploads
from calls.store import Quota, Store
from calls.work import in_service
from speech.bundles.defects import LoadedBundle
from speech.defects.diagnose import Diagnosis, diagnose
from speech.home import Home
from speech.longform.cutter import Listening, LongLimits
from speech.whisper.backend import TranscriberError
from speech.whisper.hearer_pool import HearerPool, transcribed_at_once

log = logging.getLogger("vnyatno.service")

FIELDS = ("folder", "sides", "transcript")  # of a batch's form, besides its files

STATUS = {
    "empty_batch": 400,
    "truncated": 400,
    "bad_archive": 415,
    "unsupported_archive": 400,
    "unsafe_archive": 422,
    "bad_folder": 422,
    "too_many_files": 413,
    "too_large": 413,
    "too_many_batches": 429,
    "quota_bytes": 429,
    "disk_full": 507,
}


class Desk:
    """Batches as one worker sees them. The store is shared with the other workers."""

    def __init__(
        self, settings: ServiceSettings, home: Home, windows: Windows, current: Callable[[], LoadedBundle | None]
    ) -> None:
        """`current` gives the bundle in service. Raises OSError or sqlite3.Error where the store cannot be used."""
        self.settings = settings
        self.windows = windows
        self._current = current
        self.store = Store(home.batches)
        cores = settings.model_threads
        submit = windows.process_queue(transcribed_at_once(cores))
        self._hearers = HearerPool(settings.words_model, submit, windows.give_way)
        self._crew = Crew(self.store, current, self._submit, self._long, self._hearers, cores, settings.batch_days)

    def start(self) -> None:
        """Go on with what was not finished."""
        self._crew.start()

    def close(self) -> None:
        """Give calls in work back, and end what hears their words."""
        self._crew.close()
        self._hearers.close()

    @property
    def longest_delay(self) -> float | None:
        """Seconds that a recording waits for windows of calls at most, as measured in this worker.

        None before the first window.
        """
        longest = self.windows.longest_stretch
        return TURN_SECONDS + max(LOOK_SECONDS, longest) if longest else None

    @property
    def upload_limits(self) -> UploadLimits:
        settings = self.settings
        return UploadLimits(
            settings.batch_files, settings.max_fields, settings.max_field_bytes, settings.batch_free_bytes, FIELDS
        )

    def require_room(self, owner: str, announced: int) -> None:
        """Raise `Problem` before a byte is read, where what is announced would be refused after the last one."""
        try:
            self.store.require_quota(owner, announced, self._quota)
            require_free(self.store.folder, self.settings.batch_free_bytes, announced)
        except IntakeError as error:
            raise refused(error) from error

    def intake(self) -> AbstractAsyncContextManager[tuple[str, Path]]:
        """An id and a folder for what is uploaded.

        The folder is removed unless the block ends well. Until then a lock keeps other processes from taking it for
        rubbish. Raises `Problem`.
        """
        return beside(self._intake())

    @contextmanager
    def _intake(self) -> Iterator[tuple[str, Path]]:
        batch = uuid.uuid4().hex
        folder = self.store.folder_of(batch)
        try:
            with _locked(folder):
                (folder / FILES).mkdir()
                yield batch, folder
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, IntakeError):
                raise refused(error) from error
            if isinstance(error, OSError) and disk_full(error):
                raise no_room() from error
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise no_room() from error
            raise

    def take(self, batch: str, owner: str, form: Form, sides: bool, transcript: bool) -> CallArchive:
        """Make a batch of what was sent.

        `sides`: each channel is judged by itself. `transcript`: the words spoken are kept besides. Raises
        `IntakeError`, OSError, sqlite3.Error, and `Problem` 501 where a transcript is wanted that cannot be had.
        """
        listening = Listening(sides, self.settings.batch_window_seconds, transcript)
        if transcript:
            bundle = self._current()
            try:
                self._hearers.require(bundle.config.language if bundle else None)
            except TranscriberError as error:
                raise no_whisper(error) from error
        folder = self.store.folder_of(batch)
        named = form.fields.get("folder")
        if named:
            root = allowed_folder(named, self.settings.batch_roots)
            new = NewCallArchive(batch, owner, "folder", root.name, 0, listening, str(root))
            items = from_folder(root, self._limits)
        elif len(form.files) == 1 and is_zip(form.files[0][1]):
            ((name, path),) = form.files
            path.rename(folder / ARCHIVE)
            items = from_zip(folder / ARCHIVE, "the archive", self._limits)
            new = NewCallArchive(batch, owner, "zip", name[:255], form.bytes, listening)
        else:
            items = from_files(form.files, folder, self._limits)
            new = NewCallArchive(batch, owner, "files", f"{len(items)} files", form.bytes, listening)
        return self._added(new, items)

    def _added(self, new: NewCallArchive, items: list[NewCall]) -> CallArchive:
        self.store.add(new, items, self._quota)
        self._crew.wake()
        found = self.store.archive(new.id)
        assert found is not None
        return found

    @property
    def temporary(self) -> Path:
        """A folder for files of this process, there until it ends."""
        return self._crew.temporary

    def find(self, batch: str, owner: str) -> CallArchive:
        """Raises `Problem` 404 where there is none, or it is another's."""
        found = self.store.archive(batch, owner)
        if found is None:
            raise Problem(404, "no_batch", "there is no such batch, or it is another key's")
        return found

    def cancel(self, batch: str, owner: str) -> CallArchive:
        """Raises `Problem` 404."""
        self.find(batch, owner)
        self.store.cancel(batch)
        remove_uploads(self.store, batch)
        return self.find(batch, owner)

    def delete(self, batch: str, owner: str) -> None:
        """Raises `Problem` 404."""
        self.find(batch, owner)
        delete(self.store, batch)

    @property
    def _quota(self) -> Quota:
        return Quota(self.settings.batches_per_key, self.settings.batch_bytes_per_key)

    @property
    def _limits(self) -> IntakeLimits:
        return IntakeLimits(
            self.settings.batch_files, self.settings.batch_file_bytes, self.settings.batch_unpacked_bytes
        )

    def _submit(self, bundle: str, samples: np.ndarray) -> Future[Diagnosis]:
        return self.windows.submit(partial(_judge, self._current, bundle, samples))

    def _long(self, bundle: LoadedBundle) -> LongLimits:
        audio = bundle.config.audio
        return LongLimits(
            max_bytes=self.settings.batch_file_bytes,
            max_seconds=self.settings.batch_call_seconds,
            min_seconds=audio.min_seconds,
            max_window_seconds=audio.max_seconds,
            min_rate=self.settings.min_sample_rate,
            max_rate=self.settings.max_sample_rate,
            max_channels=self.settings.max_channels,
            min_speech_seconds=self.settings.min_speech_seconds,
        )


def refused(error: IntakeError) -> Problem:
    """The answer to a batch that is not taken in."""
    return Problem(STATUS[error.code], error.code, str(error))


def _judge(current: Callable[[], LoadedBundle | None], wanted: str, samples: np.ndarray) -> Diagnosis:
    """The diagnosis of a window (n,), by the bundle `wanted` and no other."""
    bundle = in_service(current, wanted)
    return diagnose(bundle.model, [samples], bundle.calibration)[0]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a batch's folder in the block."""
    lock = Locked(folder / LOCK)
    try:
        yield
    finally:
        lock.close()
