"""The bundle of a recipe that was last served well, remembered beside the pointer for workers that start."""

from __future__ import annotations

import logging

from speech.bundles.defects import check_id
from speech.files import write_atomically
from speech.home import Home

log = logging.getLogger("vnyatno.service")


class LastGood:
    """The file `<recipe>.last_good`, which all workers share. What goes wrong with it is logged and hinders nothing."""

    def __init__(self, home: Home, recipe: str) -> None:
        self._file = home.serving / f"{recipe}.last_good"

    def read(self) -> str | None:
        """The bundle's id; None where none is known."""
        try:
            return check_id(self._file.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s cannot be used: %s", self._file, error)
            return None

    def remember(self, bundle: str) -> None:
        """Note that a bundle serves well."""
        if self.read() == bundle:
            return
        try:
            write_atomically(self._file, bundle + "\n")
        except OSError as error:
            log.warning("%s cannot be written, a restart may need it: %s", self._file, error)
