"""Uploads to a real server: on the disk as they arrive, never in its memory, and gone when nobody wants them."""

from __future__ import annotations

import os
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.web.archives import NAMES, archive, serve
from tests.web.conftest import PASSWORD, Site, start
from tests.web.pages import sound
from tests.web.service import StubService
from tests.web.tabs import XSRF, Tab, opened
from web.language import size, text
from web.theme.markdown import plain

pytestmark = pytest.mark.long  # five servers
MEGABYTE = 1_000_000
NOWHERE = "http://127.0.0.1:9"
_AWAY = "[server]\ndisconnectedSessionTTL = 3\n"


@pytest.fixture(scope="module")
def uploading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that takes 300 MB at once, keeps 600 MB of one user, and soon forgets whoever has gone."""
    home = tmp_path_factory.mktemp("uploads")
    (home / ".streamlit").mkdir()
    (home / ".streamlit" / "config.toml").write_text(_AWAY)
    limits = {"VNYATNO_WEB_MAX_ARCHIVE_BYTES": str(300 * MEGABYTE), "VNYATNO_WEB_MAX_USER_BYTES": str(600 * MEGABYTE)}
    made = start(home, NOWHERE, HOME=str(home), **limits)
    yield made
    made.process.terminate()
    assert made.process.wait(20) in (0, -15)
    assert files(made) == []


@pytest.fixture
def tab(uploading: Site) -> Iterator[Tab]:
    client, _ = uploading.member()
    with opened(uploading, client) as made:
        yield made
    until(lambda: files(uploading) == [])


def files(site: Site, suffix: str = ".upload") -> list[Path]:
    """What lies in the folders of all users."""
    return sorted((site.home / "web" / "files").glob(f"*/*{suffix}"))


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@contextmanager
def growing_less(site: Site, limit: int) -> Iterator[None]:
    """The server's memory never grows by more than `limit` bytes while the block runs."""
    process = Path(f"/proc/{site.process.pid}")
    (process / "clear_refs").write_text("5")  # the peak is what there is now
    before = peak(process)
    yield
    grown = peak(process) - before
    assert grown < limit, f"{grown / MEGABYTE:.0f} MB more"


def peak(process: Path) -> int:
    """The most bytes of memory that a process ever had."""
    lines = (process / "status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(found) * 1024


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def begun(tab: Tab, announced: int, head: bytes = b"") -> socket.socket:
    """An upload of so many bytes, of which the first 4 MB are sent."""
    urls = tab.address("calls.zip")
    site = urlsplit(tab.site.url)
    cookies = "; ".join(f"{name}={value}" for name, value in tab.client.cookies.items())
    body = b'--mark\r\nContent-Disposition: form-data; name="a"; filename="calls.zip"\r\n\r\n' + bytes(4 * MEGABYTE)
    lines = [
        f"PUT {urls.upload_url} HTTP/1.1",
        f"Host: {site.netloc}",
        f"Cookie: {cookies}",
        f"X-Xsrftoken: {tab.client.cookies[XSRF]}",
        "Content-Type: multipart/form-data; boundary=mark",
        f"Content-Length: {announced}",
    ]
    connection = socket.create_connection((str(site.hostname), int(site.port or 0)), timeout=30)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return connection


def test_a_large_archive_is_never_held_in_memory(tab: Tab, uploading: Site, tmp_path: Path) -> None:
    small = tab.address("small.zip")
    assert tab.send(small, b"PK").status_code == 204  # loads what uploads need
    tab.remove(small)
    urls, length = tab.address("calls.zip"), 200 * MEGABYTE
    with growing_less(uploading, 30 * MEGABYTE), sparse(tmp_path / "calls.zip", length).open("rb") as file:
        assert tab.send(urls, file).status_code == 204
    (lying,) = files(uploading)
    kept = lying.stat()
    assert (kept.st_size, kept.st_mode & 0o777, lying.parent.stat().st_mode & 0o777) == (length, 0o600, 0o700)
    with growing_less(uploading, 30 * MEGABYTE):
        tab.fill("archive_file_0", urls, size=length)
        tab.run()
        tab.run(archive_start=True)
    assert text("archive_kept_why", "en") in tab.words  # there is no service to send it to
    (moved,) = files(uploading, ".zip")
    assert (moved.stat().st_ino, moved.stat().st_nlink) == (kept.st_ino, 1)  # not a byte was copied
    assert files(uploading) == []


def test_what_arrived_is_what_was_sent(tab: Tab, uploading: Site, tmp_path: Path) -> None:
    made = tmp_path / "calls.zip"
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr("anna/1.wav", os.urandom(3 * MEGABYTE))
    urls = tab.address("звонки.zip")
    with made.open("rb") as file:
        assert tab.send(urls, file, "звонки.zip").status_code == 204
    (lying,) = files(uploading)
    assert lying.read_bytes() == made.read_bytes()
    tab.fill("archive_file_0", urls, "звонки.zip", made.stat().st_size)
    tab.run()
    tab.run(archive_start=True)
    assert any(plain("звонки.zip") in said for said in tab.words)
    assert made.read_bytes() in [path.read_bytes() for path in files(uploading, ".zip")]


def test_a_file_that_is_taken_out_again_is_removed(tab: Tab, uploading: Site) -> None:
    urls = tab.address("calls.zip")
    assert tab.send(urls, bytes(1000)).status_code == 204
    assert len(files(uploading)) == 1
    tab.remove(urls)
    assert files(uploading) == []


def test_an_upload_that_breaks_off_leaves_nothing(tab: Tab, uploading: Site) -> None:
    with begun(tab, 100 * MEGABYTE):
        until(lambda: [path.stat().st_size > MEGABYTE for path in files(uploading)] == [True])
    until(lambda: files(uploading) == [])


def test_uploads_end_with_their_session(uploading: Site) -> None:
    client, _ = uploading.member()
    with opened(uploading, client) as tab:
        assert tab.send(tab.address("calls.zip"), bytes(1000)).status_code == 204
        connection = begun(tab, 100 * MEGABYTE)
        until(lambda: len(files(uploading)) == 2)
    with connection:
        until(lambda: files(uploading) == [])


def test_a_connection_that_comes_back_finds_its_uploads(uploading: Site) -> None:
    client, _ = uploading.member()
    with opened(uploading, client) as tab:
        urls = tab.address("calls.zip")
        assert tab.send(urls, bytes(1000)).status_code == 204
        tab.fill("archive_file_0", urls)
        tab.run()
    with opened(uploading, client, before=tab) as again:
        again.run()
        assert not again.elements["archive_start"].disabled
        again.run(archive_start=True)
        assert text("archive_kept_why", "en") in again.words
    assert files(uploading) == []


def test_an_account_takes_its_uploads_along(tab: Tab, uploading: Site) -> None:
    assert tab.send(tab.address("calls.zip"), bytes(1000)).status_code == 204
    assert tab.client.post("/account/delete", data={"password": PASSWORD}).status_code == 303
    assert files(uploading) == []


def taken(stub: StubService, path: str, data: bytes) -> int:
    """How often the service was sent this."""
    return sum(data in each.body for each in stub.asked if each.path == path)


def test_recordings_and_tables_are_read_from_the_disk(site: Site, stub: StubService) -> None:
    stub.reset()
    serve(stub)
    client, _ = site.member()
    with opened(site, client, "training") as tab:
        urls = tab.address("take.wav")
        assert tab.send(urls, sound(), "take.wav").status_code == 204
        tab.fill("upload_0", urls, "take.wav", len(sound()))
        tab.run()
        tab.run()
        assert taken(stub, "/api/predict", sound()) == 1  # however often the page is drawn
        assert files(site) == []
    with opened(site, client) as tab:
        zipped, table = tab.address("march.zip"), tab.address("who.csv")
        assert tab.send(zipped, archive(), "march.zip").status_code == 204
        assert tab.send(table, f"file,operator\n{NAMES[0]},vera\n".encode(), "who.csv").status_code == 204
        tab.fill("archive_file_0", zipped, "march.zip")
        tab.fill("archive_table_0", table, "who.csv")
        tab.run()
        tab.run(archive_start=True)
        assert taken(stub, "/api/batches", archive().getvalue()) == 1
        assert b"vera" in files(site, ".csv")[0].read_bytes()
        assert files(site) == []
    with opened(site, client, "models") as tab:
        urls = tab.address("take.wav")
        assert tab.send(urls, sound(), "take.wav").status_code == 204
        tab.fill("try_file", urls, "take.wav", len(sound()))
        tab.run()
        tab.run(try_ask=True)
        assert taken(stub, "/api/predict", sound()) == 2


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_larger_than_the_limit_is_refused(tab: Tab, uploading: Site, tmp_path: Path, announced: bool) -> None:
    urls = tab.address("calls.zip")
    with sparse(tmp_path / "calls.zip", 300 * MEGABYTE + 1).open("rb") as file:
        answer = tab.send(urls, file, announced=announced)
    assert (answer.status_code, answer.text) == (413, text("file_too_large", "en", size=size(300 * MEGABYTE, "en")))
    assert files(uploading) == []


def test_what_the_user_has_no_room_for_is_refused(tab: Tab, uploading: Site, tmp_path: Path) -> None:
    large = sparse(tmp_path / "calls.zip", 250 * MEGABYTE)
    first, second, third = (tab.address(f"{number}.zip") for number in range(3))
    for urls in (first, second):
        with large.open("rb") as file:
            assert tab.send(urls, file).status_code == 204
    with growing_less(uploading, 30 * MEGABYTE):
        for language, announced in (("en", True), ("ru", False)):
            with large.open("rb") as file:
                answer = tab.send(third, file, announced=announced, **{"Accept-Language": language})
            told = text("file_no_room", language, size=size(600 * MEGABYTE, language))
            assert (answer.status_code, answer.text) == (507, told)
            assert len(files(uploading)) == 2
    tab.run()
    assert any(text("archive_room", "en", size=size(100 * MEGABYTE, "en")) in said for said in tab.words)


def test_what_streamlit_refuses_is_not_even_written(tab: Tab, uploading: Site) -> None:
    urls = tab.address("calls.zip")
    assert tab.send(urls, bytes(1000), **{"X-Xsrftoken": "guessed"}).status_code == 403
    urls.upload_url = urls.upload_url.replace(tab.session, "another")
    assert tab.send(urls, bytes(1000)).status_code == 400
    assert files(uploading) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no form",
        b"--mark\r\n\r\nno file\r\n--mark--\r\n",
        b'--mark\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nhalf of it',
        b'--mark\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\na\r\n' * 2 + b"--mark--\r\n",
        b"--mark\r\nContent-Disposition: " + b"a" * 20_000 + b"\r\n\r\na\r\n--mark--\r\n",
    ],
)
def test_a_body_that_is_no_form_with_one_file_is_refused(tab: Tab, uploading: Site, content: bytes) -> None:
    sent = {"X-Xsrftoken": tab.client.cookies[XSRF], "Content-Type": "multipart/form-data; boundary=mark"}
    answer = tab.client.put(tab.address("calls.zip").upload_url, content=content, headers=sent)
    assert answer.status_code == 400
    assert files(uploading) == []


def test_what_another_user_sends_into_a_session_is_not_taken(tab: Tab, uploading: Site) -> None:
    planted = tab.address("calls.zip")
    client, _ = uploading.member()
    with opened(uploading, client) as other:
        assert other.send(planted, b"planted").status_code == 204
    tab.fill("archive_file_0", planted)
    tab.run()
    tab.run(archive_start=True)
    assert plain(text("file_not_found", "en")) in tab.words
    tab.remove(planted)
    assert files(uploading) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    site = start(tmp_path, NOWHERE, VNYATNO_WEB_MIN_FREE_BYTES=str(10**18))
    try:
        client, _ = site.member()
        with opened(site, client) as tab:
            answer = tab.send(tab.address("calls.zip"), bytes(1000))
            assert (answer.status_code, answer.text) == (507, text("file_disk_full", "en"))
            assert files(site) == []
    finally:
        site.process.terminate()
        site.process.wait(20)


def test_what_a_killed_process_left_goes_when_the_next_one_starts(tmp_path: Path) -> None:
    site = start(tmp_path, NOWHERE)
    try:
        client, _ = site.member()
        with opened(site, client) as tab:
            assert tab.send(tab.address("calls.zip"), bytes(1000)).status_code == 204
            site.process.kill()
            site.process.wait(20)
    finally:
        site.process.kill()
    assert len(files(site)) == 1
    again = start(tmp_path, NOWHERE)
    try:
        assert files(again) == []
        assert len(list((tmp_path / "web" / "processes").iterdir())) == 1
    finally:
        again.process.terminate()
        again.process.wait(20)
