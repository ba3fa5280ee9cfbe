"""The form in which a browser sends one file, read as it arrives: the file's bytes go on, the rest is kept."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

_HEAD_BYTES = 16_384  # of the headers of all parts
_OTHER_BYTES = 65_536  # of parts that are no file


class FormRefused(ValueError):
    """The body is no form with one file in it."""


class FileForm:
    """A `multipart/form-data` body that is fed in blocks; `take` gets the file's bytes, and may raise what it likes."""

    def __init__(self, content_type: str, take: Callable[[memoryview], None]) -> None:
        """Raises `FormRefused`."""
        kind, options = parse_options_header(content_type)
        self._boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not self._boundary:
            raise FormRefused("no form")
        self._take = take
        self._head: list[tuple[bytes, bytes]] = []
        self._file_head: list[tuple[bytes, bytes]] | None = None
        self._name = self._value = b""
        self._in_file = False
        self._other_bytes = self._head_bytes = 0
        self._whole = False
        self._parser = MultipartParser(
            self._boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._head_ends,
                "on_part_data": self._part_data,
                "on_end": self._ends,
            },
        )

    def feed(self, block: bytes) -> None:
        """Read on. Raises `FormRefused`, and what `take` raises."""
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise FormRefused(str(error)) from error

    def emptied(self) -> bytes:
        """The form as it came, but for the file's bytes. Raises `FormRefused` where it broke off or held no file."""
        if not self._whole or self._file_head is None:
            raise FormRefused("no file, or not all of it")
        head = b"".join(name + b": " + value + b"\r\n" for name, value in self._file_head)
        return b"--" + self._boundary + b"\r\n" + head + b"\r\n\r\n--" + self._boundary + b"--\r\n"

    def _part_begins(self) -> None:
        self._head, self._name, self._value, self._in_file = [], b"", b"", False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._count_head(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count_head(end - start)

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > _HEAD_BYTES:
            raise FormRefused("headers without end")

    def _header_ends(self) -> None:
        self._head.append((self._name, self._value))
        self._name = self._value = b""

    def _head_ends(self) -> None:
        disposition = next((value for name, value in self._head if name.lower() == b"content-disposition"), b"")
        self._in_file = b"filename" in parse_options_header(disposition)[1]
        if self._in_file:
            if self._file_head is not None:
                raise FormRefused("more than one file")
            self._file_head = self._head

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._take(memoryview(data)[start:end])
            return
        self._other_bytes += end - start
        if self._other_bytes > _OTHER_BYTES:
            raise FormRefused("fields without end")

    def _ends(self) -> None:
        self._whole = True
