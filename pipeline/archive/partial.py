"""A download that is not finished: its bytes so far, and the version of the file they belong to."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.archive.cache import Validators
from speech.files import read_json, write_json


class Partial:
    """`download.part` and, beside it, `download.json` with the server's validators and the whole size."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "download.part"
        self._state = folder / "download.json"
        self.validators = Validators()
        self.total: int | None = None
        self._load()

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def if_range(self) -> str | None:
        """The validator that a continuation may rely on: a strong ETag, else Last-Modified (RFC 9110, 13.1.5)."""
        etag = self.validators.etag
        return etag if etag and not etag.startswith("W/") else self.validators.last_modified

    @property
    def resumable(self) -> bool:
        """Whether asking for the rest makes sense: bytes are there, and the server can tell if they still fit."""
        return self.size > 0 and self.if_range is not None

    @property
    def complete(self) -> bool:
        """Whether all bytes of a known version are there: the process ended between the last byte and its use."""
        return self.resumable and self.size == self.total

    def begin(self, validators: Validators, total: int | None) -> None:
        """Start over with a version of `total` bytes (None: unknown)."""
        self.discard()
        write_json(self._state, {"etag": validators.etag, "last_modified": validators.last_modified, "total": total})
        self.path.touch()
        self.validators, self.total = validators, total

    def discard(self) -> None:
        """Drop the bytes and what is known of them."""
        # Bytes first: without its state a part is not continued, but a state without bytes is harmless.
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        self.validators, self.total = Validators(), None

    def _load(self) -> None:
        try:
            state = read_json(self._state)
            self.validators = Validators(state["etag"], state["last_modified"])
            self.total = state["total"]
        except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
            self.discard()
