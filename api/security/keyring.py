"""The keys in force in one worker: it follows the list of keys, and keeps what it has when the list is no good."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from api.security.keys import Key, KeyFileError, keys_file, read_keys
from api.threads import Threads
from speech.home import Home

log = logging.getLogger("vnyatno.service")

LOOK_SECONDS = 0.2  # that a request waits for a look at the list; a disk that hangs must not stop the service
FIRST_LOOK_SECONDS = 2.0  # that it waits where nobody can be let in without one; a busy machine takes its time

_Fingerprint = tuple[int, int, int] | None  # changed (ns), size, inode; None where there is no file


class Keyring:
    """Looks at the list whenever it is asked, so that a key made or revoked counts from the next request on.

    Where the disk does not answer in time, the keys read before stay in force until it does.
    """

    def __init__(self, home: Home) -> None:
        self._threads: Threads | None = None  # none in a process that is never asked, as the supervisor
        self._look: Future[None] | None = None
        self._home = home
        self._seen: _Fingerprint | str = "never"
        self._keys: Sequence[Key] | None = None
        self._fault: KeyFileError | None = None

    def current(self) -> Sequence[Key]:
        """Every key, revoked ones too.

        Raises `KeyFileError` where this worker has never seen a list that can be read: without one nobody may be let
        in, for nobody knows who was to be kept out.
        """
        if self._look is None or self._look.done():
            self._threads = self._threads or Threads(1, "keys")
            self._look = self._threads.submit(self._refresh)
            with suppress(TimeoutError):
                self._look.result(FIRST_LOOK_SECONDS if self._keys is None else LOOK_SECONDS)
        if self._keys is None:
            raise self._fault or KeyFileError(f"{keys_file(self._home)} has not been read yet; its disk is slow")
        return self._keys

    def close(self) -> None:
        """End the thread; it begins anew when somebody asks after all."""
        threads, self._threads, self._look = self._threads, None, None
        if threads is not None:
            threads.close()

    def _refresh(self) -> None:
        fingerprint = self._fingerprint()
        if fingerprint != self._seen:
            self._seen = fingerprint
            self._read()

    def _read(self) -> None:
        try:
            self._keys, self._fault = tuple(read_keys(self._home)), None
        except KeyFileError as error:
            self._fault = error
            kept = "the keys read before stay in force" if self._keys is not None else "nobody is let in"
            log.error("the list of keys is broken, %s: %s", kept, error)
        else:
            log.info("%d keys are in force", sum(key.revoked is None for key in self._keys))

    def _fingerprint(self) -> _Fingerprint | str:
        try:
            found = keys_file(self._home).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return str(error)
        return found.st_mtime_ns, found.st_size, found.st_ino
