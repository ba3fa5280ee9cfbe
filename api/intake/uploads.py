"""Forms whose files go to disk as they arrive.

However large a file is, there is no copy of it in memory and none in a temporary folder.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.intake.form_route import repeated, require_known
from api.intake.multipart import FILE, TEXT_BYTES, extended_name, is_text
from api.intake.problems import Problem, not_a_file
from calls.errors import disk_full

_BLOCK = 1 << 20  # bytes that are handed to a thread at once
_LOOK_BYTES = 16 << 20  # between two looks at the disk's free space
_HEADER_BYTES = 16_384  # of one part


@dataclass(frozen=True)
class UploadLimits:
    """`max_files` and `max_fields` of a form, bytes of one field, and what must stay free on the disk.

    `fields` are the names of those that are no files.
    """

    max_files: int
    max_fields: int
    max_field_bytes: int
    free_bytes: int
    fields: tuple[str, ...]


@dataclass
class Form:
    """What was sent: files with the names that the sender gave them, and the other fields."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


async def receive(request: Request, folder: Path, limits: UploadLimits) -> Form:
    """Write the form's files into `folder`, which exists.

    Raises `Problem`; the caller then removes what was written.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Problem(400, "no_file", "send the recordings as multipart form data, in fields 'file'")
    reader = _Reader(boundary, folder, limits)
    block = bytearray()
    try:
        async for chunk in request.stream():
            block += chunk
            if len(block) >= _BLOCK:
                await asyncio.to_thread(reader.write, bytes(block))
                block.clear()
        request.state.arrived = True
        await asyncio.to_thread(reader.write, bytes(block))
        return await asyncio.to_thread(reader.finish)
    except FormParserError as error:
        raise Problem(400, "bad_request", "the form cannot be read; send it as multipart form data") from error
    except OSError as error:
        if full := disk_full(error):
            raise no_room() from full
        raise
    finally:
        reader.close()


def no_room() -> Problem:
    """The disk is full, or nearly."""
    detail = "the disk has no room for this batch; nothing of it was kept. Send a smaller one, or delete others"
    return Problem(507, "disk_full", detail)


def require_free(folder: Path, free_bytes: int, more: int = 0) -> None:
    """Raises `Problem` 507 where less than `free_bytes` would be left of the disk with `more` bytes on it."""
    if shutil.disk_usage(folder).free - more < free_bytes:
        raise no_room()


class _Reader:
    """Takes the form's bytes as they come."""

    def __init__(self, boundary: bytes, folder: Path, limits: UploadLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._form = Form()
        self._whole = False
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._field = ""
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._nameless = False
        self._until_look = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
        )

    def write(self, data: bytes) -> None:
        """Raises FormParserError, OSError, `Problem`."""
        self._until_look -= len(data)
        if self._until_look <= 0:
            self._until_look = _LOOK_BYTES
            require_free(self._folder, self._limits.free_bytes)
        if data:
            self._parser.write(data)

    def finish(self) -> Form:
        """The form. Raises `Problem` where it breaks off."""
        if not self._whole:
            raise Problem(400, "upload_broken_off", "the upload broke off before its end; send it again, whole")
        return self._form

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _part_begins(self) -> None:
        self._headers, self._name, self._value = {}, b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._require_small(self._name)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._require_small(self._value)

    def _require_small(self, header: bytes) -> None:
        if len(header) > _HEADER_BYTES or len(self._headers) > 16:
            raise Problem(400, "part_headers_too_large", "the headers of a part of the form are too large")

    def _header_ends(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _headers_end(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._text = bytearray()
        plain = options.get(b"filename")
        name = extended_name(disposition) if plain is None else plain.decode("utf-8", "replace")
        self._nameless = name is None and self._field == FILE
        if name is None and not self._nameless:
            if len(self._form.fields) >= self._limits.max_fields:
                raise Problem(400, "too_many_fields", "the form holds too many fields")
            return
        if len(self._form.files) >= self._limits.max_files:
            most = self._limits.max_files
            raise Problem(413, "too_many_files", f"more than the {most} files that are taken; split the batch")
        path = self._folder / f"{len(self._form.files):06}"
        self._file = path.open("xb")
        self._form.files.append((name or f"recording {len(self._form.files) + 1}", path))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            self._form.bytes += end - start
            return
        self._text += data[start:end]
        if len(self._text) > self._limits.max_field_bytes:
            raise Problem(400, "field_too_large", f"the field {self._field[:40]!r} is too large")

    def _part_ends(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            if self._nameless:
                self._require_no_text(self._form.files[-1][1])
            return
        require_known([self._field], [FILE, *self._limits.fields])
        value = self._text.decode("utf-8", "replace")
        if self._form.fields.setdefault(self._field, value) != value:
            raise repeated(self._field)

    def _require_no_text(self, path: Path) -> None:
        """Raises `Problem` 400 where a part without a name holds words, and forgets one that is empty."""
        with path.open("rb") as file:
            head = file.read(TEXT_BYTES)
        if not head:
            self._form.files.pop()
            path.unlink()
        elif is_text(head):
            raise not_a_file()

    def _ends(self) -> None:
        self._whole = True
