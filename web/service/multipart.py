"""A form with a file in it, sent in blocks: `requests` would hold the whole file in memory, twice."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from io import BytesIO
from typing import BinaryIO


class Multipart:
    """A body of `multipart/form-data` to be read once: the fields, and after them `file` under an ASCII name."""

    def __init__(self, file: BinaryIO, name: str, fields: Mapping[str, str]) -> None:
        mark = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={mark}"
        line = '--{}\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
        head = "".join(line.format(mark, field, "") + f"{value}\r\n" for field, value in fields.items())
        head += line.format(mark, "file", f'; filename="{name}"')
        self._parts = [BytesIO(head.encode("ascii")), file, BytesIO(f"\r\n--{mark}--\r\n".encode())]
        self._length = sum(part.seek(0, os.SEEK_END) for part in self._parts)
        for part in self._parts:
            part.seek(0)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        while self._parts:
            block = self._parts[0].read(size)
            if block:
                return block
            self._parts.pop(0)
        return b""
