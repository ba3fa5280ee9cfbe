"""The whole of `up` behind a real Caddy, asked as a browser on another machine would ask it.

With VNYATNO_IMAGE_HOST the image is asked instead of a launcher that this starts: the address of a container that runs
with a published bundle and with the variables of `VARIABLES`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from deploy.addresses import Address, Addresses, Front
from deploy.commands.publication import put_into_service
from deploy.front.certificate import self_made
from deploy.front.prepare import prepare
from deploy.front.settings import FrontError
from deploy.run.health import silent_servers
from deploy.run.launcher import everything
from deploy.run.parts import Part, proxy_part
from deploy.run.processes import marked
from deploy.run.stack import Stack
from speech.home import Home
from tests.bundles import write_tiny_bundle
from tests.deploy.conftest import free_addresses, web_part
from tests.ports import free_port
from tests.recordings import encoded, hum

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
PASSWORD = "correcthorsebattery"
PER_MINUTE = 40
VARIABLES = {"VNYATNO_DAGSTER_PASSWORD": PASSWORD, "VNYATNO_ADDRESS_PER_MINUTE": str(PER_MINUTE)}
LOGIN = ("admin", PASSWORD)


@dataclass(frozen=True)
class House:
    """Where the three doors are, and the certificate that they show, as a file."""

    http: str
    https: str
    dagster: str
    inner: tuple[str, int]
    certificate: str

    def get(self, url: str, **more: object) -> requests.Response:
        return self.ask("GET", url, **more)

    def ask(self, method: str, url: str, **more: object) -> requests.Response:
        return requests.request(
            method,
            url,
            verify=self.certificate,
            allow_redirects=False,
            timeout=60,
            **more,  # type: ignore[arg-type]
        )

    def websocket(self, url: str, origin: str, protocol: str, **headers: str) -> ClientConnection:
        context = ssl.create_default_context(cafile=self.certificate)
        return connect(
            url.replace("https://", "wss://"),
            ssl=context,
            origin=origin,  # type: ignore[arg-type]
            subprotocols=[protocol],  # type: ignore[list-item]
            additional_headers=headers,
            proxy=None,
        )


def proxied(host: str = "127.0.0.1") -> Addresses:
    front = Front(
        Address("the proxy's HTTP", "VNYATNO_HTTP_PORT", host, free_port()),
        Address("the proxy's HTTPS", "VNYATNO_HTTPS_PORT", host, free_port()),
        Address("Dagster", "VNYATNO_DAGSTER_PORT", host, free_port()),
    )
    return replace(free_addresses(), front=front)


def house_of(addresses: Addresses, certificate: Path) -> House:
    front = addresses.front
    assert front is not None
    return House(
        front.http.url,
        f"https://localhost:{front.https.port}",
        f"https://localhost:{front.dagster.port}",
        (addresses.dagster.host, addresses.dagster.port),
        str(certificate),
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("proxy")
    if host := os.environ.get("VNYATNO_IMAGE_HOST"):
        shown = folder / "shown.crt"
        shown.write_text(ssl.get_server_certificate((host, 443)))
        yield House(f"http://{host}", f"https://{host}", f"https://{host}:3000", (host, 3001), str(shown))
        return
    home, addresses = Home(folder / "home"), proxied()
    write_tiny_bundle(home, "tiny-1")
    put_into_service("tiny-1", home)
    variables = {**os.environ, **VARIABLES}
    parts = everything(addresses, prepare(home, addresses, variables))
    with Stack(home, addresses, parts, show=False, inherited=variables):
        assert silent_servers(home) == []
        made = house_of(addresses, home.root / "proxy" / "certificate.crt")
        deadline = time.monotonic() + 120
        while made.get(f"{made.https}/readyz").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        yield made


def test_pages_come_by_https(house: House) -> None:
    answer = house.get(f"{house.https}/")
    assert (answer.status_code, "streamlit" in answer.text.lower()) == (200, True)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{house.https}/", timeout=10)  # a stranger's certificate


def test_plain_http_leads_there_but_for_those_who_watch(house: House) -> None:
    answer = house.ask("POST", f"{house.http}/account/sign-in?notice=x")
    assert answer.status_code == 308
    where = answer.headers["Location"]
    assert where.startswith("https://")
    assert where.endswith("/account/sign-in?notice=x")
    assert house.get(f"{house.http}/healthz").text == "ok\n"
    assert house.get(f"{house.http}/readyz").status_code == 200


def test_somebody_registers_and_the_session_is_kept_from_plain_http(house: House) -> None:
    form = {"name": f"user {uuid4().hex[:12]}", "password": PASSWORD}
    answer = house.ask("POST", f"{house.https}/account/register", data=form, headers={"Origin": house.https})
    assert answer.status_code == 303
    assert "; Secure" in answer.headers["Set-Cookie"]
    foreign = house.ask("POST", f"{house.https}/account/register", data=form, headers={"Origin": "https://e.example"})
    assert foreign.status_code == 403


def test_the_service_answers_behind_the_same_door(house: House) -> None:
    files = {"file": ("a.wav", encoded(hum(1.5)), "audio/wav")}
    answer = house.ask("POST", f"{house.https}/api/predict", files=files)
    assert (answer.status_code, answer.json()["bundle"]) == (200, "tiny-1")
    assert house.get(f"{house.https}/api/docs/").status_code == 200


def test_a_large_upload_passes_and_the_services_limit_stands(house: House) -> None:
    files = {"file": ("a.wav", bytes(26_000_000), "audio/wav")}
    answer = house.ask("POST", f"{house.https}/api/predict", files=files)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_streamlit_speaks_through_it_with_pages_of_this_site_alone(house: House) -> None:
    url = f"{house.https}/_stcore/stream"
    with house.websocket(url, house.https, "streamlit") as stream:
        assert stream.subprotocol == "streamlit"
    with pytest.raises(InvalidStatus), house.websocket(url, "https://e.example", "streamlit"):
        pass


def test_dagster_asks_for_the_password(house: House) -> None:
    url = f"{house.dagster}/server_info"
    refused = house.get(url)
    assert (refused.status_code, refused.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert house.get(url, auth=("admin", "wrong")).status_code == 401
    assert "dagster_webserver_version" in house.get(url, auth=LOGIN).json()
    assert house.get(url, auth=LOGIN, headers={"Origin": "https://e.example"}).status_code == 403
    with socket.socket() as client:
        client.settimeout(5)
        reached = client.connect_ex(house.inner) == 0
    assert reached == (house.inner[0] == "127.0.0.1")  # from this machine alone


def test_a_password_for_dagster_never_goes_in_the_clear(house: House) -> None:
    answer = house.get(house.dagster.replace("https://", "http://") + "/runs?x=1")
    assert (answer.status_code, answer.headers["Location"]) == (308, f"{house.dagster}/runs?x=1")


def test_dagsters_pages_are_kept_up_to_date_through_it(house: House) -> None:
    basic = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
    url = f"{house.dagster}/graphql"
    with house.websocket(url, house.dagster, "graphql-ws", Authorization=basic) as stream:
        stream.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(stream.recv(timeout=20))["type"] == "connection_ack"
    with pytest.raises(InvalidStatus), house.websocket(url, house.dagster, "graphql-ws"):
        pass


def test_whoever_comes_through_it_is_no_administrator(house: House) -> None:
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}):
        assert house.ask("POST", f"{house.https}/api/model/rollback", headers=headers).status_code == 401
        assert house.get(f"{house.https}/metrics", headers=headers).status_code == 401


def test_a_client_is_counted_as_one_whatever_it_says_of_itself(house: House) -> None:
    seen = []
    for number in range(PER_MINUTE + 1):
        headers = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        seen.append(house.ask("POST", f"{house.https}/api/predict", headers=headers).status_code)
    assert 429 in seen


@pytest.fixture
def toys(data_home: Home) -> Callable[[Addresses, dict[str, str]], Stack]:
    """Toy servers behind the real proxy."""

    def make(addresses: Addresses, variables: dict[str, str]) -> Stack:
        prepared = prepare(data_home, addresses, {**os.environ, **variables})
        assert prepared is not None
        parts: list[Part] = [
            web_part("dagster", addresses.dagster),
            web_part("service", addresses.service),
            web_part("web", addresses.web),
            proxy_part(addresses, prepared.command),
        ]
        return Stack(data_home, addresses, lambda _: parts, show=False)

    return make


def test_a_certificate_of_ones_own_and_no_password(toys: Callable[..., Stack], tmp_path: Path) -> None:
    own, addresses = self_made(tmp_path / "own", ["localhost"]), proxied()
    variables = {"VNYATNO_TLS_CERT": str(own), "VNYATNO_TLS_KEY": str(own), "VNYATNO_DAGSTER_PASSWORD": "off"}
    with toys(addresses, variables):
        house = house_of(addresses, tmp_path / "own" / "certificate.crt")
        assert house.get(f"{house.https}/").status_code == 200
        assert house.get(f"{house.dagster}/").status_code == 200


def test_a_killed_proxy_is_started_again(toys: Callable[..., Stack], data_home: Home, tmp_path: Path) -> None:
    own, addresses = self_made(tmp_path / "own", ["localhost"]), proxied()
    variables = {"VNYATNO_TLS_CERT": str(own), "VNYATNO_TLS_KEY": str(own), "VNYATNO_DAGSTER_PASSWORD": "off"}
    with toys(addresses, variables) as stack:
        house = house_of(addresses, tmp_path / "own" / "certificate.crt")
        (process,) = marked(data_home.root, "proxy")
        process.kill()
        deadline = time.monotonic() + 60
        while "proxy is back" not in (stack.logs / "launcher.log").read_text():
            assert time.monotonic() < deadline
            stack.tend()
            time.sleep(0.1)
        assert silent_servers(data_home) == []
        assert house.get(f"{house.https}/").status_code == 200


def test_a_key_that_does_not_fit_is_told_before_anything_starts(data_home: Home, tmp_path: Path) -> None:
    one, other = self_made(tmp_path / "one", []), self_made(tmp_path / "other", [])
    variables = {"VNYATNO_TLS_CERT": str(one.parent / "certificate.crt"), "VNYATNO_TLS_KEY": str(other)}
    with pytest.raises(FrontError, match="private key does not match"):
        prepare(data_home, proxied(), {**os.environ, **variables, "VNYATNO_DAGSTER_PASSWORD": "off"})


def test_caddy_takes_a_configuration_with_acme(data_home: Home) -> None:
    variables = {"VNYATNO_DOMAIN": "speech.example.org", "VNYATNO_ACME_EMAIL": "me@example.org"}
    prepared = prepare(data_home, proxied(), {**os.environ, **variables})
    assert prepared is not None
    assert "speech.example.org" in prepared.certificate
    assert prepared.login is not None
    assert prepared.login.new
    assert shutil.which("caddy") == prepared.command[0]
