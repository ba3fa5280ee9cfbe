"""What the proxy is told, without the proxy; test_caddyfile.py has Caddy read it, test_proxy.py asks a running one."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from deploy.addresses import Addresses, read_addresses
from deploy.front.certificate import self_made
from deploy.front.configuration import Files, variables
from deploy.front.forwarding import outer_proxies, trusting
from deploy.front.login import dagster_login
from deploy.front.prepare import Prepared, prepare
from deploy.front.settings import FrontError, FrontSettings, read_front
from deploy.run.greeting import dagster_link, places
from deploy.run.parts import environment
from speech.home import Home

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "service.yaml"


@pytest.fixture
def proxied() -> Addresses:
    return read_addresses({"VNYATNO_PROXY": "on", "VNYATNO_HOST": "0.0.0.0"})


@pytest.fixture
def caddy(tmp_path: Path) -> str:
    """A stand-in for the program that hashes: it says what it was given, in a hash's form."""
    program = tmp_path / "bin" / "caddy"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nread word\necho "\\$2a\\$$word"\n')
    program.chmod(0o755)
    return str(program)


def certificate_in(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names_of(certificate: x509.Certificate) -> list[Any]:
    return [name.value for name in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_nothing_given_means_a_self_made_certificate_and_a_made_password() -> None:
    settings = read_front({})
    assert (settings.certificate, settings.domains, settings.user, settings.password) == (None, (), "admin", None)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"VNYATNO_TLS_CERT": "/nowhere.pem", "VNYATNO_TLS_KEY": __file__}, "/nowhere.pem"),
        ({"VNYATNO_TLS_CERT": __file__}, "VNYATNO_TLS_KEY"),
        ({"VNYATNO_TLS_CERT": __file__, "VNYATNO_TLS_KEY": __file__, "VNYATNO_DOMAIN": "a.example"}, "not both"),
        ({"VNYATNO_DOMAIN": "localhost"}, "domain name"),
        ({"VNYATNO_DOMAIN": "192.0.2.1"}, "domain name"),
        ({"VNYATNO_DOMAIN": "https://a.example"}, "neither a host name"),
        ({"VNYATNO_TLS_NAMES": "a b"}, "VNYATNO_TLS_NAMES"),
        ({"VNYATNO_DAGSTER_USER": "a:b"}, "colon"),
        ({"VNYATNO_DAGSTER_PASSWORD": "short"}, "8 to 72"),
        ({"VNYATNO_DAGSTER_PASSWORD": "x" * 73}, "8 to 72"),
    ],
)
def test_what_cannot_be_used_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(FrontError, match=named) as refused:
        read_front(variables)
    assert variables.get("VNYATNO_DAGSTER_PASSWORD", "secret") not in str(refused.value)


def test_the_self_made_certificate_is_for_this_machine_and_the_names_given(tmp_path: Path) -> None:
    path = self_made(tmp_path, ["speech.local", "192.168.1.20"])
    names = names_of(certificate_in(path))
    assert {"localhost", "speech.local"} < set(names)
    assert ip_address("127.0.0.1") in names
    assert ip_address("192.168.1.20") in names
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"PRIVATE" not in (tmp_path / "certificate.crt").read_bytes()


def test_the_self_made_certificate_stays_until_it_must_change(tmp_path: Path) -> None:
    def serial(*names: str, now: datetime | None = None) -> int:
        return certificate_in(self_made(tmp_path, names, now)).serial_number

    first = serial("speech.local")
    assert serial("speech.local") == serial() == first
    other = serial("speech.local", "other.local")
    assert other != first
    later = datetime.now(UTC) + timedelta(days=800)
    assert serial(now=later) != other
    (tmp_path / "self-made.pem").write_text("broken")
    assert serial() not in (first, other)


def test_the_caddyfile_learns_where_the_servers_listen(proxied: Addresses) -> None:
    assert proxied.front is not None
    given = variables(proxied, proxied.front, Files(Path("/c.pem"), Path("/k.pem")), None, Path("/data/proxy/caddy"))
    assert (given["PROXY_SERVICE"], given["PROXY_WEB"], given["PROXY_DAGSTER"]) == (
        "127.0.0.1:8000",
        "127.0.0.1:8501",
        "127.0.0.1:3001",
    )
    assert (given["PROXY_LOGIN"], given["PROXY_CERTIFICATE"], given["PROXY_OUTER_PROXIES"]) == ("off", "file", "")
    assert given["PROXY_DAGSTER_LISTENS"] == "0.0.0.0:3000"


def test_service_and_web_believe_the_proxy_and_those_that_the_user_names(tmp_path: Path) -> None:
    assert trusting({}, CONFIG)["VNYATNO_TRUSTED_PROXIES"] == "127.0.0.1/32,::1/128"
    given = trusting({"VNYATNO_TRUSTED_PROXIES": "10.0.0.5, 172.16.0.0/12"}, CONFIG)
    assert given["VNYATNO_WEB_TRUSTED_PROXIES"] == "127.0.0.1/32,::1/128,10.0.0.5,172.16.0.0/12"
    file = tmp_path / "service.yaml"
    file.write_text("trusted_proxies: [10.0.0.6]\n")
    assert outer_proxies({"VNYATNO_SERVICE_CONFIG": str(file)}, CONFIG) == ["10.0.0.6"]
    file.write_text("trusted_proxies: {no: list}\n")
    assert outer_proxies({"VNYATNO_SERVICE_CONFIG": str(file)}, CONFIG) == []


def test_children_learn_where_the_service_is_and_whom_to_believe(data_home: Home, proxied: Addresses) -> None:
    seen = environment(data_home, proxied, Path("/tmp/x/code"), {})
    assert seen["VNYATNO_WEB_SERVICE"] == "http://127.0.0.1:8000"
    assert (seen["VNYATNO_WEB_HOST"], seen["VNYATNO_WEB_PORT"]) == ("0.0.0.0", "8501")
    assert seen["VNYATNO_TRUSTED_PROXIES"].startswith("127.0.0.1")
    assert seen["VNYATNO_DAGSTER_PORT"] == "3000"
    plain = environment(data_home, read_addresses({}), Path("/tmp/x/code"), {"VNYATNO_WEB_SERVICE": "http://gpu:8000"})
    assert plain["VNYATNO_WEB_SERVICE"] == "http://gpu:8000"
    assert "VNYATNO_TRUSTED_PROXIES" not in plain


def test_a_made_password_is_told_once_and_stays_the_same(tmp_path: Path, caddy: str) -> None:
    first = dagster_login(FrontSettings(), tmp_path, caddy)
    assert first is not None
    assert first.new
    password = first.hash.removeprefix("$2a$")
    assert len(password) >= 20
    assert password in first.told
    again = dagster_login(FrontSettings(), tmp_path, caddy)
    assert again is not None
    assert (again.hash, again.new) == (first.hash, False)
    assert password not in again.told
    kept = tmp_path / "dagster-password"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.unlink()
    other = dagster_login(FrontSettings(), tmp_path, caddy)
    assert other is not None
    assert other.hash != first.hash


def test_a_given_password_is_not_kept_and_not_shown(tmp_path: Path, caddy: str) -> None:
    login = dagster_login(FrontSettings(user="anna", password="correct horse"), tmp_path, caddy)
    assert login is not None
    assert (login.user, login.hash) == ("anna", "$2a$correct horse")
    assert "correct horse" not in login.told + repr(login)
    assert not (tmp_path / "dagster-password").exists()


def test_off_asks_for_no_password(tmp_path: Path, caddy: str) -> None:
    assert dagster_login(FrontSettings(password="off"), tmp_path, caddy) is None


def test_without_the_program_the_remedy_is_told(data_home: Home, proxied: Addresses) -> None:
    with pytest.raises(FrontError, match="caddy; install"):
        prepare(data_home, proxied, {"PATH": "/nowhere"})
    assert not (data_home.root / "proxy").exists()


def test_greeting(proxied: Addresses) -> None:
    assert places(read_addresses({}))[0] == "the web      http://127.0.0.1:8501"
    lines = "\n".join(places(proxied, Prepared(("caddy",), None, "self-made")))
    assert "https://localhost  (certificate: self-made)" in lines
    assert "https://localhost:3000  (no password is asked)" in lines
    elsewhere = read_addresses({"VNYATNO_PROXY": "on", "VNYATNO_HOST": "192.0.2.7", "VNYATNO_DAGSTER_PORT": "3100"})
    assert any("https://192.0.2.7:3100  " in line for line in places(elsewhere, Prepared(("caddy",), None, "own")))


@pytest.mark.parametrize(
    ("environment", "link"),
    [
        ({}, "http://127.0.0.1:3000"),
        ({"VNYATNO_DAGSTER_PORT": "3456"}, "http://127.0.0.1:3456"),
        ({"VNYATNO_DAGSTER_PORT": "3456", "VNYATNO_HOST": "0.0.0.0"}, "http://127.0.0.1:3456"),
        ({"VNYATNO_PROXY": "on"}, "https://localhost:3000"),
        ({"VNYATNO_PROXY": "on", "VNYATNO_DAGSTER_PORT": "3456"}, "https://localhost:3456"),
        ({"VNYATNO_PROXY": "on", "VNYATNO_DAGSTER_INNER_PORT": "3002"}, "https://localhost:3000"),
    ],
)
def test_dagster_is_linked_where_a_person_opens_it(environment: dict[str, str], link: str) -> None:
    addresses = read_addresses(environment)
    assert dagster_link(addresses) == link
    assert any(link in line for line in places(addresses, Prepared(("caddy",), None, "self-made")))
