"""How soon the web application answers 50 people at once: Streamlit's own protocol, real sessions, real uploads.

    python -m bench.web --people 50 --seconds 120

Every person is signed in, thinks for ten seconds, acts, and goes round: another text, a recording sent and judged,
progress, models, training. The service is a stand-in that takes 200 ms. An action lasts from the click to the end of
the page's run, with the upload of a recording in it. Exits with 1 where fewer than 95% take less than 1.5 s.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import subprocess
import sys
import tempfile
import time
import wave
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.web.service import PREDICTION, StubService

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("VNYATNO_BENCH_PORT") or 18_710)
SERVICE_SECONDS, THOUGHT_SECONDS = 0.2, 10.0
MOST_SECONDS, LEAST_SHARE = 1.5, 0.95
PATIENCE_SECONDS = 60.0
ROUND = ("another", "recording", "progress", "models", "training")
_XSRF = "_streamlit_xsrf"


class Person:
    """One signed-in browser. `seconds` collects what each action took."""

    def __init__(self, number: int, seconds: dict[str, list[float]]) -> None:
        # An address of one's own: the application counts attempts to sign in by address.
        headers = {"Origin": f"http://127.0.0.1:{PORT}", "X-Forwarded-For": f"10.1.{number // 250}.{number % 250 + 1}"}
        self._http = httpx.AsyncClient(base_url=headers["Origin"], headers=headers, timeout=PATIENCE_SECONDS)
        self._seconds = seconds
        self._widgets: dict[str, str] = {}  # by the key that the page gave it
        self._pages: dict[str, str] = {}
        self._page = self._session = ""

    async def register(self) -> None:
        """Make an account, and get what a browser has before it opens the stream."""
        form = {"name": f"person {uuid4().hex[:12]}", "password": uuid4().hex}
        answer = await self._http.post("/account/register", data=form)
        if answer.status_code != 303:
            raise RuntimeError(f"an account was not made: {answer.status_code}")
        await self._http.get("/_stcore/health")

    async def act(self, until: float) -> None:
        """Open the application and use it until then."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._http.cookies.items())
        protocols = [Subprotocol("streamlit"), Subprotocol(self._http.cookies[_XSRF])]
        url = f"ws://127.0.0.1:{PORT}/_stcore/stream"
        await asyncio.sleep(random.uniform(0, THOUGHT_SECONDS))
        async with connect(
            url, additional_headers={"Cookie": cookies}, subprotocols=protocols, max_size=None, proxy=None
        ) as stream:
            await self._timed("open", self._run(stream))
            while True:
                for action in ROUND:
                    await asyncio.sleep(THOUGHT_SECONDS)
                    if time.monotonic() > until:
                        return
                    await self._timed(action, self._do(stream, action))

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def _timed(self, name: str, work: object) -> None:
        began = time.monotonic()
        await work  # type: ignore[misc]
        self._seconds[name].append(time.monotonic() - began)

    async def _do(self, stream: ClientConnection, action: str) -> None:
        if action in self._pages:
            self._page = self._pages[action]
            await self._run(stream)
        elif action == "another":
            await self._run(stream, WidgetState(id=self._widgets["another"], trigger_value=True))
        else:
            await self._run(stream, await self._upload())

    async def _upload(self) -> WidgetState:
        key = max(name for name in self._widgets if name.startswith("upload_"))
        state, file_id, sound = WidgetState(id=self._widgets[key]), uuid4().hex, recording()
        path = f"/_stcore/upload_file/{self._session}/{file_id}"
        headers = {"X-Xsrftoken": self._http.cookies[_XSRF]}
        files = {"file": ("speech.wav", sound, "audio/wav")}
        (await self._http.put(path, files=files, headers=headers)).raise_for_status()
        info = state.file_uploader_state_value.uploaded_file_info.add(
            name="speech.wav", size=len(sound), file_id=file_id
        )
        info.file_urls.file_id, info.file_urls.upload_url, info.file_urls.delete_url = file_id, path, path
        return state

    async def _run(self, stream: ClientConnection, *widgets: WidgetState) -> None:
        """Have the page drawn, and read it to its end."""
        asked = BackMsg()
        asked.rerun_script.page_script_hash = self._page
        asked.rerun_script.context_info.timezone = "Europe/Moscow"
        asked.rerun_script.widget_states.widgets.extend(widgets)
        await stream.send(asked.SerializeToString())
        self._widgets = {}
        while True:
            said = ForwardMsg.FromString(await asyncio.wait_for(stream.recv(decode=False), PATIENCE_SECONDS))
            kind = said.WhichOneof("type")
            if kind == "new_session":
                self._session = said.new_session.initialize.session_id or self._session
            elif kind == "navigation":
                self._pages = {page.url_pathname: page.page_script_hash for page in said.navigation.app_pages}
                self._pages["training"] = next(p.page_script_hash for p in said.navigation.app_pages if p.is_default)
            elif kind == "delta":
                self._note(said)
            elif kind == "script_finished" and said.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return

    def _note(self, said: ForwardMsg) -> None:
        element = said.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception" or (kind == "alert" and element.alert.format == element.alert.ERROR):
            raise RuntimeError(f"a page failed: {element}")
        if kind in ("button", "file_uploader"):
            identity: str = getattr(element, kind).id
            self._widgets[identity.rpartition("-")[2]] = identity


def recording() -> bytes:
    """Three seconds of a tone, as a browser's microphone would give them."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.sin(np.arange(48_000) / 20) * 8_000).astype("<i2").tobytes())
    return sound.getvalue()


@contextmanager
def application(home: Path, service: str) -> Iterator[psutil.Process]:
    """A running `python -m web`."""
    environment = os.environ | {
        "VNYATNO_HOME": str(home),
        "VNYATNO_WEB_PORT": str(PORT),
        "VNYATNO_WEB_SERVICE": service,
        "VNYATNO_WEB_TRUSTED_PROXIES": "127.0.0.1",
    }
    process = subprocess.Popen([sys.executable, "-m", "web"], cwd=ROOT, env=environment)
    try:
        while True:
            if process.poll() is not None:
                raise RuntimeError("the web application ended")
            try:
                httpx.get(f"http://127.0.0.1:{PORT}/_stcore/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def used(people: int, seconds: float) -> dict[str, list[float]]:
    """What each action took, by its name."""
    taken: dict[str, list[float]] = defaultdict(list)
    crowd = [Person(number, taken) for number in range(people)]
    for person in crowd:
        await person.register()
    until = time.monotonic() + seconds
    await asyncio.gather(*(person.act(until) for person in crowd))
    for person in crowd:
        await person.close()
    return taken


def told(taken: dict[str, Sequence[float]]) -> float:
    """Print a line for each action; returns the share of all that took less than they may."""
    everything = [value for values in taken.values() for value in values]
    print(f"{'action':<12}{'count':>6}{'p50':>8}{'p95':>8}{'most':>8}{'< 1.5 s':>9}")
    for name, values in [*taken.items(), ("all", everything)]:
        middle, high = np.percentile(values, [50, 95])
        share = sum(value < MOST_SECONDS for value in values) / len(values)
        print(f"{name:<12}{len(values):>6}{middle:>8.2f}{high:>8.2f}{max(values):>8.2f}{share:>9.1%}")
    return share


def main() -> int:
    """The command line; exits with 1 where too many actions take too long."""
    parser = argparse.ArgumentParser(description="Measure how soon the web application answers many people at once.")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, StubService() as stub:
        stub.reply("POST", "/api/predict", 200, PREDICTION, seconds=SERVICE_SECONDS)
        with application(Path(folder), stub.url) as process:
            taken = asyncio.run(used(options.people, options.seconds))
            busy = process.cpu_times()
            print(f"CPU {busy.user + busy.system:.0f} s, memory {process.memory_info().rss / 1e6:.0f} MB")
        judged = sum(asked.path == "/api/predict" for asked in stub.asked)
    if judged != len(taken["recording"]):
        raise RuntimeError(f"{len(taken['recording'])} recordings were sent, {judged} judged")
    return 0 if told({**taken}) >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
