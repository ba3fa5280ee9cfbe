"""What stands before Streamlit's own route for uploads: members alone may send, and what they send goes to the disk.

Streamlit would hold every upload in memory for as long as its session lasts. So it is shown the form without the
file's bytes. Whether it takes the form at all is up to Streamlit: nothing is read before it asks for the body, which
is after its checks of the XSRF token, the session and the announced length.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web import cookies
from web.files import FileError
from web.house import House
from web.language import chosen
from web.uploads.form import FileForm, FormRefused
from web.uploads.incoming import Incoming

_ROUTE = "/_stcore/upload_file"
_PLACE = re.compile(r"/_stcore/upload_file/([^/]+)/([^/]+)")
_BLOCK = 1 << 20  # bytes that are handed to a thread at once
_FRAME_BYTES = 1 << 17  # more than a form has beside its file
_PATIENCE_BYTES = 16 << 20  # beyond the limit, of an upload that is refused
_SILENCE_SECONDS = 120.0  # after which an upload counts as broken off: not every lost connection is closed
_STATUS = {"file_too_large": 413, "file_no_room": 507, "file_disk_full": 507, "file_not_found": 410}


class Intake:
    """Middleware before Streamlit's route for uploads."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _ROUTE not in scope["path"] or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        token = Request(scope).cookies.get(cookies.SESSION)
        user = await run_in_threadpool(self._house.accounts.user_of, token, datetime.now(UTC))
        if user is None:
            await PlainTextResponse("", 403)(scope, receive, send)
            return
        place = _PLACE.fullmatch(scope["path"])
        if scope["method"] == "PUT" and place:
            await self._take(user.id, place[1], place[2], scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _take(self, owner: int, session: str, file_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Streamlit take the form, its file going to the disk; what is not taken leaves nothing there."""
        uploads = self._house.uploads
        upload: Incoming | None = None
        taken = False

        async def emptied() -> Message:
            nonlocal upload
            if upload is not None:
                return await receive()
            # Registered before anything is waited for: a session that ends from now on takes its upload along.
            upload = uploads.begin(session, file_id, owner)
            return {"type": "http.request", "body": await _stored(Request(scope), receive, upload), "more_body": False}

        async def watched(message: Message) -> None:
            nonlocal taken
            taken = taken or (message["type"] == "http.response.start" and message["status"] < 300)
            await send(message)

        try:
            await self._app(scope, emptied, watched)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        finally:
            if upload is not None and not taken:
                uploads.give_up(session, file_id, upload)


class _Body:
    """The body of a request, in blocks."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True
        self.bytes = 0

    async def block(self) -> bytes:
        """The next bytes, none at the end. Raises `ClientDisconnect`, HTTPException where none come any more."""
        found = bytearray()
        while self._more and len(found) < _BLOCK:
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = await self._receive()
            except TimeoutError as error:
                raise HTTPException(408) from error
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            found += message.get("body", b"")
            self._more = message.get("more_body", False)
        self.bytes += len(found)
        return bytes(found)


async def _stored(request: Request, receive: Receive, upload: Incoming) -> bytes:
    """Write the file in a form to the disk; the form without it. Raises HTTPException, `ClientDisconnect`."""
    body = _Body(receive)
    try:
        return await _written(request, body, upload)
    except FormRefused as error:
        raise HTTPException(400, str(error)) from error
    except FileError as error:
        # A browser that is answered while it still sends sees a broken connection instead of the answer.
        while body.bytes < upload.most + _PATIENCE_BYTES and await body.block():
            pass
        language = chosen(request.cookies.get(cookies.LANGUAGE), request.headers.get("accept-language"))
        raise HTTPException(_STATUS.get(error.key, 500), error.message(language)) from error


async def _written(request: Request, body: _Body, upload: Incoming) -> bytes:
    form = FileForm(request.headers.get("content-type", ""), upload.write)
    announced = request.headers.get("content-length", "")
    try:
        await run_in_threadpool(upload.begin, max(0, int(announced or 0) - _FRAME_BYTES))
        while block := await body.block():
            await run_in_threadpool(form.feed, block)
        emptied = form.emptied()
        await run_in_threadpool(upload.end)
    except BaseException:
        upload.drop()  # before the rest of the body has come, or an answer has gone
        raise
    finally:
        with suppress(OSError):  # what was written is dropped in that case
            upload.close()
    return emptied
