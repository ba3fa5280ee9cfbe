"""Multipart forms as programs write them: a file whose name is in the extended notation alone, or that has no name."""

from __future__ import annotations

import codecs
import unicodedata
from email.message import Message

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartParser

FILE = "file"  # the field that holds the recording
TEXT_BYTES = 4096  # of a part without a file name that tell whether it is text
_BREAKS = "\t\n\r"


def extended_name(disposition: bytes) -> str | None:
    """The file name in RFC 2231's notation (`filename*=UTF-8''…`, `filename*0=…`) of a part's Content-Disposition.

    python-multipart reads plain names alone, since RFC 7578 forbids the others; they are sent all the same. None where
    there is none, empty where it cannot be read.
    """
    message = Message()
    message["Content-Disposition"] = disposition.decode("latin-1")
    try:
        return message.get_filename()
    except ValueError:  # a number of thousands of digits
        return ""


def is_text(head: bytes) -> bool:
    """Whether a part that begins with `head` is words, such as an address, and no recording."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(each) == "Cc" and each not in _BREAKS for each in text)


class RecordingParser(MultiPartParser):
    """Starlette's parser, for which a part is a file as well where its name is in the extended notation, and where it
    is the field `file`, has no name, and is no text."""

    _nameless: list[UploadFile]

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = part.content_disposition or b""
        _, options = parse_options_header(disposition)
        plain, extended = b"filename" in options, extended_name(disposition) is not None
        nameless = not plain and not extended and options.get(b"name") == FILE.encode()
        if extended or nameless:  # what a file is called is never used
            part.content_disposition = disposition + b'; filename="recording"'
        super().on_headers_finished()
        if nameless and part.file is not None:
            self._nameless.append(part.file)

    async def parse(self) -> FormData:
        self._nameless = []
        await super().parse()
        return FormData([(name, await self._judged(value)) for name, value in self.items])

    async def _judged(self, value: str | UploadFile) -> str | UploadFile:
        """The value of a field; text where a nameless part holds that."""
        if not any(value is part for part in self._nameless):
            return value
        assert isinstance(value, UploadFile)
        head = await value.read(TEXT_BYTES)
        await value.seek(0)
        if not await run_in_threadpool(is_text, head):
            return value
        await value.close()
        return head.decode("utf-8", "replace")
