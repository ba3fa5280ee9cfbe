"""When a bundle that was refused is tried again."""

from __future__ import annotations

FIRST_PAUSE = 1.0  # seconds between two attempts at the same bundle; doubled with each failure
LONGEST_PAUSE = 60.0  # seconds; a bundle mended by hand is back in service within a minute


class Attempts:
    """Attempts at the bundle that the pointer names. Moments are of the caller's clock, in seconds.

    Another bundle is tried at once. The same one is tried again when one of its files has changed, or when the fault
    may have passed by itself; and no sooner than a pause that doubles with each failure.
    """

    def __init__(self) -> None:
        self._bundle: str | None = None
        self._files: object = None  # a fingerprint of the bundle's files at the last attempt
        self._may_pass = False
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def forget(self) -> None:
        """Take whatever is tried next for another bundle."""
        self._bundle = None

    def due(self, bundle: str, files: object, now: float) -> bool:
        """Whether to try `bundle` now, whose files have the fingerprint `files`. If so, that counts as an attempt."""
        if bundle != self._bundle:
            self._pause, self._not_before = FIRST_PAUSE, now
        elif now < self._not_before or (files == self._files and not self._may_pass):
            return False
        self._bundle, self._files = bundle, files
        return True

    def failed(self, may_pass: bool, now: float) -> None:
        """The attempt failed; `may_pass`: whether the fault may pass by itself."""
        self._may_pass = may_pass
        self._not_before = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
