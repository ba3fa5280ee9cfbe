"""Signing in and out over HTTP, against a real server process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.web.conftest import PASSWORD, ROOT, Site, start
from web.cookies import SESSION

NEW = "battery staple horse"


def signed_in(client: httpx.Client) -> bool:
    """Whether the server knows who this is: the form to leave is for members alone."""
    return client.get("/account/delete").status_code == 200


def test_a_session_is_a_cookie_that_no_script_reads(site: Site) -> None:
    client, name = site.member()
    assert signed_in(client)
    client.post("/account/sign-out", data={"here": "yes"})
    answer = client.post("/account/sign-in", data={"name": name.upper(), "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", "path=/", "max-age="):
        assert part in cookie
    assert "secure" not in cookie
    assert signed_in(client)


def test_signing_in_gives_another_token_and_the_old_one_ends(site: Site) -> None:
    client, name = site.member()
    old = client.cookies[SESSION]
    client.post("/account/sign-in", data={"name": name, "password": PASSWORD})
    assert client.cookies[SESSION] != old
    assert signed_in(client)
    assert not signed_in(httpx.Client(base_url=site.url, cookies={SESSION: old}))


def test_a_token_that_somebody_planted_is_never_taken(site: Site) -> None:
    client, name = site.member()
    client.cookies.clear()
    client.cookies.set(SESSION, "planted")
    client.post("/account/sign-in", data={"name": name, "password": PASSWORD})
    assert not signed_in(httpx.Client(base_url=site.url, cookies={SESSION: "planted"}))


def test_signing_out_here_and_everywhere(site: Site) -> None:
    first, name = site.member()
    second, third = site.browser(), site.browser()
    for client in (second, third):
        client.post("/account/sign-in", data={"name": name, "password": PASSWORD})
    kept = second.cookies[SESSION]
    second.post("/account/sign-out", data={"here": "yes"})
    assert SESSION not in second.cookies
    assert not signed_in(httpx.Client(base_url=site.url, cookies={SESSION: kept}))
    assert signed_in(first)
    third.post("/account/sign-out", data={"everywhere": "yes"})
    assert not signed_in(first)


def test_another_password(site: Site) -> None:
    client, name = site.member()
    other = site.browser()
    other.post("/account/sign-in", data={"name": name, "password": PASSWORD})
    assert client.post("/account/password", data={"old": "wrong wrong", "new": NEW}).status_code == 422
    assert client.post("/account/password", data={"old": PASSWORD, "new": "short"}).status_code == 422
    assert client.post("/account/password", data={"old": PASSWORD, "new": NEW}).status_code == 303
    assert signed_in(client)
    assert not signed_in(other)
    assert other.post("/account/sign-in", data={"name": name, "password": PASSWORD}).status_code == 422
    assert other.post("/account/sign-in", data={"name": name, "password": NEW}).status_code == 303


def test_leaving(site: Site) -> None:
    client, name = site.member()
    assert client.post("/account/delete", data={"password": "wrong wrong"}).status_code == 422
    answer = client.post("/account/delete", data={"password": PASSWORD}, follow_redirects=True)
    assert "has been deleted" in answer.text
    assert SESSION not in client.cookies
    assert client.post("/account/sign-in", data={"name": name, "password": PASSWORD}).status_code == 422


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://127.0.0.1:1", "http://localhost"])
@pytest.mark.parametrize("route", ["sign-in", "sign-out", "delete", "password", "language", "register", "enter"])
def test_forms_of_other_sites_do_nothing(site: Site, route: str, origin: str) -> None:
    client = httpx.Client(base_url=site.url, headers={"Origin": origin} if origin else {})
    answer = client.post(f"/account/{route}", data={"name": "somebody", "password": PASSWORD, "language": "ru"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_only_forms_and_only_small_ones(site: Site) -> None:
    client = site.browser()
    assert client.post("/account/sign-in", json={"name": "a"}).status_code == 403
    assert client.post("/account/sign-in", data={"name": "a" * 20_000}).status_code == 413
    bad = client.post(
        "/account/sign-in", content=b"name=%ff&x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert bad.status_code == 400
    assert client.post("/account/sign-in", data={"other": "field"}).status_code == 422
    assert client.post("/account/sign-in").status_code == 403
    # A GET, which another site may cause, changes nothing.
    assert SESSION not in client.get("/account/sign-out").headers.get("set-cookie", "")


def test_what_people_type_is_text_and_passwords_never_come_back(site: Site) -> None:
    client = site.browser()
    answer = client.post("/account/sign-in", data={"name": '"><script>x()</script>', "password": "secret secret"})
    assert "<script>" not in answer.text
    assert "secret secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    other = client.get("/account/sign-in?notice=<b>You have won</b>")
    assert "won" not in other.text


def test_guessing_is_slowed_down_and_says_for_how_long(site: Site) -> None:
    client = site.browser(**{"Accept-Language": "ru"})
    for _ in range(7):
        answer = client.post("/account/sign-in", data={"name": "no one at all", "password": "wrong wrong"})
    assert answer.status_code == 429
    assert "Подождите" in answer.text
    assert "секунд" in answer.text


def test_language_is_the_browsers_until_it_is_chosen(site: Site) -> None:
    client = site.browser(**{"Accept-Language": "ru-RU,ru;q=0.9"})
    assert '<html lang="ru">' in client.get("/account/sign-in").text
    sent = {"Referer": f"{site.url}/account/register"}
    answer = client.post("/account/language", data={"language": "en"}, headers=sent)
    assert answer.headers["location"] == "/account/register"
    assert '<html lang="en">' in client.get("/account/sign-in").text
    client.post("/account/language", data={"language": "xx"})
    assert '<html lang="en">' in client.get("/account/sign-in").text


@pytest.mark.parametrize(
    "referer", ["https://evil.example/x", "//evil.example", "{site}//evil.example", "{site}/\\evil"]
)
def test_no_redirect_leads_elsewhere(site: Site, referer: str) -> None:
    sent = {"Referer": referer.format(site=site.url)}
    answer = site.browser().post("/account/language", data={"language": "en"}, headers=sent)
    location = answer.headers["location"]
    assert location.startswith("/")
    assert location[1:2] not in ("/", "\\")


def test_every_answer_is_guarded(site: Site) -> None:
    for path in ("/", "/training", "/account/sign-in", "/_stcore/health"):
        headers = httpx.get(site.url + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_files_are_taken_from_members_alone(site: Site) -> None:
    member, _ = site.member()
    address = "/_stcore/upload_file/no-session/a"
    refused = site.browser().put(address, files={"a": b"x"})
    assert (refused.status_code, refused.text) == (403, "")
    assert "XSRF" in member.put(address, files={"a": b"x"}).text  # so far that Streamlit looks at it


def test_a_stranger_cannot_choose_the_address_or_the_scheme(site: Site) -> None:
    """This server trusts no proxy: with X-Forwarded-Proto the cookie stays as it was, and Origin must be http."""
    client = site.browser(**{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"})
    answer = client.post("/account/register", data={"name": "forwarded one", "password": PASSWORD})
    assert answer.status_code == 303
    assert "secure" not in answer.headers["set-cookie"].lower()


@pytest.mark.system
def test_behind_a_trusted_proxy_with_https_the_cookie_is_secure(tmp_path: Path) -> None:
    site = start(
        tmp_path,
        "http://127.0.0.1:9",
        VNYATNO_WEB_TRUSTED_PROXIES="127.0.0.0/8",
        VNYATNO_WEB_ADMIN="chief",
        VNYATNO_WEB_ADMIN_PASSWORD=PASSWORD,
        VNYATNO_WEB_REGISTRATION="false",
    )
    try:
        sent = {"X-Forwarded-Proto": "https", "Origin": site.url.replace("http", "https", 1)}
        client = httpx.Client(base_url=site.url, headers=sent)
        answer = client.post("/account/sign-in", data={"name": "chief", "password": PASSWORD})
        assert answer.status_code == 303
        assert "secure" in answer.headers["set-cookie"].lower()
        assert client.post("/account/register", data={"name": "anna", "password": PASSWORD}).status_code == 403
    finally:
        site.process.terminate()
        site.process.wait(20)


@pytest.mark.system
def test_a_port_that_is_taken_is_named(site: Site, tmp_path: Path) -> None:
    port = site.url.rpartition(":")[2]
    environment = {"VNYATNO_HOME": str(tmp_path), "VNYATNO_WEB_PORT": port, "PATH": "/usr/bin", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "web"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert f"127.0.0.1:{port} cannot be used" in ended.stderr
    assert "VNYATNO_WEB_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr
