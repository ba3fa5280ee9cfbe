"""Routes that take a recording in a form: what was sent besides is used or refused, and never dropped."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.types import Receive, Scope

from api.intake.multipart import FILE, RecordingParser
from api.intake.problems import Problem

LIST = "[]"  # with which the names of fields end that hold lists
_LISTED = re.compile(r"(.+?)(?:\[\d*\])?", re.DOTALL)
_SHOWN = 100  # letters of a name that somebody else chose


class FormRoute(APIRoute):
    """A route whose form may hold the fields of its function's parameters, and no others."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_form(request: Request) -> Response:
            known = [field.alias for field in self.dependant.body_params]
            return await handle(FormRequest(request.scope, request.receive, known))

        return handle_form


class FormRequest(Request):
    """A request whose form was checked."""

    def __init__(self, scope: Scope, receive: Receive, known: Collection[str] = ()) -> None:
        """`known`: the form's fields; without any, the route checks them itself."""
        super().__init__(scope, receive)
        self._known = known

    async def _get_form(
        self, *, max_files: int | float = 1000, max_fields: int | float = 1000, max_part_size: int = 1 << 20
    ) -> FormData:
        """Raises `Problem` 400 as `checked` does."""
        if self._form is not None:
            return self._form
        kind, _ = parse_options_header(self.headers.get("content-type"))
        if kind == b"multipart/form-data":
            parser = RecordingParser(
                self.headers,
                self.stream(),
                max_files=max_files,
                max_fields=max_fields,
                max_part_size=max_part_size,
            )
            try:
                self._form = await parser.parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        form = await super()._get_form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
        if self._known:
            try:
                self._form = checked(form, self._known)
            except Problem:
                await form.close()
                raise
        return self._form or form


def checked(form: FormData, known: Collection[str]) -> FormData:
    """The form, its lists under one name however they were written (`name[]`, `name[0]`, `name`).

    Raises `Problem` 400 for a second recording, for a field that is not among the `known`, and for one that was sent
    twice with different values. A form without a recording is left to whoever asks for it.
    """
    lists = {name.removesuffix(LIST): name for name in known if name.endswith(LIST)}
    items = [(lists.get(_base(name), name), value) for name, value in form.multi_items()]
    files = [name for name, value in items if isinstance(value, UploadFile)]
    if not any(name == FILE for name, _ in items) and files:
        detail = f"the recording came in the field {_shown(files[0])}; send it in the field 'file'"
        raise Problem(400, "no_file", detail, field=FILE)
    if files.count(FILE) > 1:
        detail = f"{files.count(FILE)} recordings came in one form; send one at a time, or all of them to /api/batches"
        raise Problem(400, "several_files", detail, field=FILE)
    if FILE in files:
        require_known((name for name, _ in items), known)
    _require_once(items)
    return FormData(items)


def require_known(names: Iterable[str], known: Collection[str]) -> None:
    """Raises `Problem` 400 for a name that is not among the `known`."""
    for name in names:
        if name not in known:
            taken = ", ".join(known)
            raise Problem(400, "unknown_field", f"{_shown(name)} is not taken here; what is: {taken}", field=_cut(name))


def repeated(name: str) -> Problem:
    """The answer to a field that was sent twice, with different values."""
    return Problem(400, "repeated_field", f"{_shown(name)} was sent twice; send it once", field=_cut(name))


def _require_once(items: list[tuple[str, Any]]) -> None:
    seen: dict[str, Any] = {}
    for name, value in items:
        if not name.endswith(LIST) and seen.setdefault(name, value) != value:
            raise repeated(name)


def _base(name: str) -> str:
    found = _LISTED.fullmatch(name)
    return found.group(1) if found else name


def _cut(name: str) -> str:
    return name[:_SHOWN]


def _shown(name: str) -> str:
    return repr(_cut(name))
