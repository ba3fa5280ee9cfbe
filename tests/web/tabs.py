"""A tab of a browser without a screen: it speaks with the server as Streamlit's own page does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from uuid import uuid4

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs, UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect

from tests.web.conftest import Site

XSRF = "_streamlit_xsrf"


class Tab:
    """A page that is open; `client` is the browser in which somebody is signed in."""

    def __init__(self, site: Site, client: httpx.Client, socket: ClientConnection, page: str) -> None:
        self.site, self.client, self.page = site, client, page
        self.session = ""
        self.elements: dict[str, Any] = {}
        """What can be used, by key."""
        self.words: list[str] = []
        """What the last run said, warnings and errors among it."""
        self._socket = socket
        self._states: dict[str, WidgetState] = {}

    def run(self, **pressed: bool) -> None:
        """Have the page drawn, with what was filled in; `pressed` names buttons."""
        message = BackMsg()
        message.rerun_script.page_name = self.page
        for state in self._states.values():
            message.rerun_script.widget_states.widgets.append(state)
        for key in pressed:
            message.rerun_script.widget_states.widgets.append(WidgetState(id=self.elements[key].id, trigger_value=True))
        self._socket.send(message.SerializeToString())
        self.words = []
        while not self._heard(ended={ForwardMsg.FINISHED_SUCCESSFULLY}):
            pass

    def address(self, name: str) -> FileURLs:
        """Where a file of this name may be sent."""
        message = BackMsg()
        message.file_urls_request.request_id = uuid4().hex
        message.file_urls_request.session_id = self.session
        message.file_urls_request.file_names.append(name)
        self._socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(bytes(self._socket.recv(timeout=30)))
            if answer.WhichOneof("type") == "file_urls_response":
                (found,) = answer.file_urls_response.file_urls
                return found

    def send(
        self, urls: FileURLs, data: bytes | BinaryIO, name: str = "calls.zip", announced: bool = True, **headers: str
    ) -> httpx.Response:
        """Send a file as the uploader does; unless `announced`, nobody is told before how long it is."""
        sent = {"X-Xsrftoken": self.client.cookies[XSRF]} | headers
        files = {name: (name, io.BytesIO(data) if isinstance(data, bytes) else data, "application/zip")}
        request = self.client.build_request("PUT", urls.upload_url, files=files, headers=sent, timeout=120)
        if not announced:
            del request.headers["Content-Length"]
            request.headers["Transfer-Encoding"] = "chunked"
        return self.client.send(request)

    def remove(self, urls: FileURLs) -> None:
        """Take a file out of the uploader."""
        sent = {"X-Xsrftoken": self.client.cookies[XSRF]}
        assert self.client.delete(urls.delete_url, headers=sent).status_code == 204

    def fill(self, key: str, urls: FileURLs, name: str = "calls.zip", size: int = 1) -> None:
        """Let an uploader hold a file that was sent."""
        state = WidgetState(id=self.elements[key].id)
        info = UploadedFileInfo(file_id=urls.file_id, name=name, size=size, file_urls=urls)
        state.file_uploader_state_value.uploaded_file_info.append(info)
        self._states[key] = state

    def _heard(self, ended: set[int]) -> bool:
        """Take in one message; whether it is the end of a run."""
        message = ForwardMsg.FromString(bytes(self._socket.recv(timeout=60)))
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id or self.session
        elif kind == "delta":
            element = message.delta.new_element
            name = element.WhichOneof("type")
            what = getattr(element, name) if name else None
            if hasattr(what, "id"):
                self.elements[str(what.id).rpartition("-")[2]] = what
            if hasattr(what, "body"):
                self.words.append(what.body)
        return kind == "script_finished" and message.script_finished in ended


@contextmanager
def opened(site: Site, client: httpx.Client, page: str = "calls", before: Tab | None = None) -> Iterator[Tab]:
    """Open a page and have it drawn once; `before` is a tab whose session goes on after its connection was lost."""
    client.get("/_stcore/health")  # gives the XSRF cookie
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = site.url.replace("http://", "ws://") + "/_stcore/stream"
    protocols = ["streamlit", "none", before.session] if before else ["streamlit"]
    options: dict[str, Any] = {"origin": site.url, "subprotocols": protocols, "proxy": None, "max_size": None}
    with connect(url, additional_headers={"Cookie": cookies}, **options) as socket:
        tab = Tab(site, client, socket, page)
        if before:
            tab.session, tab._states = before.session, before._states
        tab.run()
        yield tab
