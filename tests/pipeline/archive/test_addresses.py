"""Which addresses count as public, and that nothing else is connected to."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests

from pipeline.archive import addresses
from pipeline.archive.addresses import check_host, fence, is_public, open_session
from speech.archives.errors import ForbiddenSource, SourceNotFound


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    ],
)
def test_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "::1"])
def test_names_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(ForbiddenSource, match=r"http://x/a.zip: .*private network.*allow_private_network"):
        check_host("http://x/a.zip", host)


def answers(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> None:
    """The name server's answers, one list of addresses for each question; the last goes on."""
    left = list(rounds)

    def getaddrinfo(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["93.184.216.34", "10.0.0.7"])
    with pytest.raises(ForbiddenSource, match=r"mixed.example \(10.0.0.7\)"):
        check_host("s", "mixed.example")


def test_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SourceNotFound, match=r"nowhere\.example"):
        check_host("s", "nowhere.example")
    check_host("s", "nowhere.example", proxied=True)


def test_a_name_that_changes_its_address_after_the_check_is_caught(
    server: Any, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.host("/a.zip", archive)
    answers(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    with (
        fence("the source", allow_private_network=False),
        open_session("the source", allow_private_network=False) as session,
        pytest.raises(ForbiddenSource, match=r"the source: 127\.0\.0\.1"),
    ):
        session.get(f"http://rebinding.example:{server.server_port}/a.zip", timeout=5)
    assert server.asked == []


def test_a_redirect_into_the_private_network_is_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The local server plays a public host; the address it redirects to stays private.
    monkeypatch.setattr(addresses, "is_public", lambda text: text == "127.0.0.1" or is_public(text))
    server.routes["", "/a.zip"] = lambda handler: handler.redirect("http://169.254.169.254/latest/meta-data")
    with (
        fence("s", allow_private_network=False),
        open_session("s", allow_private_network=False) as session,
        pytest.raises(ForbiddenSource, match=r"169\.254\.169\.254"),
    ):
        session.get(server.url("/a.zip"), timeout=5)


def test_outside_the_fence_everything_connects(server: Any) -> None:
    with fence("s", allow_private_network=False):
        pass
    assert requests.get(server.url("/missing"), timeout=5).status_code == 404


def test_the_proxy_of_the_environment_may_be_private_but_not_what_it_is_asked_for(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy gets the whole URL as path.
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    server.routes["", "/a.zip"] = lambda handler: handler.page("through the proxy")
    with fence("s", allow_private_network=False), open_session("s", allow_private_network=False) as session:
        assert session.get("http://name.invalid/a.zip", timeout=5).text == "through the proxy"
        assert server.asked[0][0] == "http://name.invalid/a.zip"
        with pytest.raises(ForbiddenSource):
            session.get("http://10.0.0.1/a.zip", timeout=5)
        with pytest.raises(ForbiddenSource):
            session.get(server.url("/a.zip"), timeout=5)
    assert len(server.asked) == 1
