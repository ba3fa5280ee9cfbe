"""http(s) sources: continued, not repeated, and never taken for whole when they are not."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive import transfer
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.sources import fetch
from speech.archives.errors import (
    DiskFull,
    ForbiddenSource,
    NoPermission,
    NotAnArchive,
    SourceNotFound,
    SourceUnavailable,
    TooLarge,
    Truncated,
    shown,
)

LOST = transfer._BLOCK
ROOT = Path(__file__).parents[3]


def ranges(server: Any) -> list[str | None]:
    return [headers.get("range") for _, headers in server.asked]


def starts(server: Any) -> list[int]:
    """The first byte that each request asked for."""
    return [int((asked or "0").removeprefix("bytes=").removesuffix("-")) for asked in ranges(server)]


def test_downloads_hashes_and_keeps(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    fetched = fetch(server.url("/a.zip"), tmp_path / "cache", options, lines.append)
    assert fetched.path.read_bytes() == archive
    assert fetched.sha256 == hashlib.sha256(archive).hexdigest()
    assert (fetched.bytes, fetched.reused, fetched.source) == (len(archive), False, server.url("/a.zip"))
    assert any("0.6 MB" in line for line in lines)
    assert not any((tmp_path / "cache" / "partial").iterdir())


def test_a_second_run_downloads_nothing(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    first = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    second = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert second == replace(first, reused=True)
    assert server.asked[1][1]["if-none-match"] == '"v1"'


def test_last_modified_serves_where_there_is_no_etag(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, etag=None, last_modified="Wed, 01 Jan 2025 00:00:00 GMT")
    fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused
    assert "if-modified-since" in server.asked[1][1]


@pytest.mark.parametrize("manners", [{}, {"etag": None, "last_modified": "Wed, 01 Jan 2025 00:00:00 GMT"}])
def test_a_server_that_ignores_conditions_is_understood(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str], manners: dict[str, Any]
) -> None:
    server.host("/a.zip", archive, conditional=False, **manners)
    fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused


def test_changed_content_is_downloaded_again(
    server: Any, archive: bytes, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    first = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    other = pack({"data_mp3/train/b.mp3": b"other"})
    server.host("/a.zip", other, etag='"v2"')
    second = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert not second.reused
    assert second.path.read_bytes() == other
    assert first.path.read_bytes() == archive


def test_without_validators_reused_unless_refreshed(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, etag=None)
    fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused
    assert len(server.asked) == 1
    assert not fetch(server.url("/a.zip"), tmp_path, options.model_copy(update={"refresh": True}), lines.append).reused
    assert len(server.asked) == 2


def test_what_is_here_is_used_when_the_server_is_down(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted = server.host("/a.zip", archive)
    fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    hosted.failures = [503] * 10
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused
    assert "503" in lines[-1]


def test_a_source_that_was_withdrawn_is_not_used_any_more(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    server.routes.clear()
    with pytest.raises(SourceNotFound):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)


def test_a_damaged_index_entry_only_costs_a_download(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    next((tmp_path / "index").iterdir()).write_text("{")
    assert not fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused


def test_a_cut_connection_is_continued_in_the_same_run(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, cuts=[200_000, 100_000])
    fetched = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetched.path.read_bytes() == archive
    first, second, third = starts(server)
    assert first == 0
    assert 200_000 - LOST <= second <= 200_000
    assert second + 100_000 - LOST <= third <= second + 100_000
    assert server.asked[1][1]["if-range"] == '"v1"'


def test_a_failed_run_is_continued_by_the_next(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted = server.host("/a.zip", archive, cuts=[200_000])
    with pytest.raises(SourceUnavailable, match="continues where it broke off"):
        fetch(server.url("/a.zip"), tmp_path, options.model_copy(update={"retries": 0}), lines.append)
    assert not (tmp_path / "contents").exists()
    assert hosted.cuts == []
    fetched = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetched.path.read_bytes() == archive
    assert 200_000 - LOST <= starts(server)[1] <= 200_000


def test_a_version_that_changed_meanwhile_is_not_spliced(
    server: Any, archive: bytes, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, cuts=[200_000])
    with pytest.raises(SourceUnavailable):
        fetch(server.url("/a.zip"), tmp_path, options.model_copy(update={"retries": 0}), lines.append)
    other = pack({"data_mp3/train/b.mp3": b"other"})
    server.host("/a.zip", other, etag='"v2"')
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).path.read_bytes() == other


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_without_a_strong_validator_it_starts_over(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str], etag: str | None
) -> None:
    server.host("/a.zip", archive, etag=etag, cuts=[200_000])
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).path.read_bytes() == archive
    assert ranges(server) == [None, None]


def test_a_server_without_ranges_is_downloaded_from_the_start(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, ranges=False, cuts=[200_000])
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).path.read_bytes() == archive


def test_a_wrong_range_is_not_appended(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, cuts=[200_000], range_shift=7)
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).path.read_bytes() == archive
    assert [asked is None for asked in ranges(server)] == [True, False, True]


def test_a_body_cut_without_length_is_recognised(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, send_length=False, cuts=[200_000])
    with pytest.raises(Truncated, match="breaks off after"):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).path.read_bytes() == archive


def test_a_killed_process_is_continued(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted = server.host("/a.zip", archive, seconds_per_block=0.05)
    program = (
        "import sys; from pathlib import Path; from pipeline.archive.sources import fetch;"
        "from pipeline.archive.settings import ArchiveSettings;"
        "fetch(sys.argv[1], Path(sys.argv[2]), ArchiveSettings(sources=['-'], allow_private_network=True), print)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, server.url("/a.zip"), str(tmp_path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while not any(part.stat().st_size > 250_000 for part in tmp_path.glob("partial/*/download.part")):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "contents").exists()
    hosted.seconds_per_block = 0
    fetched = fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert fetched.path.read_bytes() == archive
    assert starts(server)[-1] > 250_000


def test_waits_for_a_run_that_downloads_the_same(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, seconds_per_block=0.01)
    program = (
        "import sys; from pathlib import Path; from pipeline.archive.sources import fetch;"
        "from pipeline.archive.settings import ArchiveSettings;"
        "fetch(sys.argv[1], Path(sys.argv[2]), ArchiveSettings(sources=['-'], allow_private_network=True), print)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, server.url("/a.zip"), str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 30
    while not server.asked:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused
    assert child.wait() == 0
    assert "another run" in lines[0]


@pytest.mark.parametrize(
    ("status", "error"), [(401, NoPermission), (403, NoPermission), (404, SourceNotFound), (410, SourceNotFound)]
)
def test_answers_that_do_not_change_are_not_asked_for_twice(
    server: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str], status: int, error: type[Exception]
) -> None:
    server.routes["", "/a.zip"] = lambda handler: handler.page("<html>no</html>", status)
    with pytest.raises(error, match=rf"a\.zip: the server answered {status}"):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert len(server.asked) == 1


def test_a_passing_failure_is_tried_again(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, failures=[503, 500])
    assert not fetch(server.url("/a.zip"), tmp_path, options, lines.append).reused


def test_a_lasting_failure_is_told(server: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    hosted = server.host("/a.zip", b"", failures=[503] * 9)
    with pytest.raises(SourceUnavailable, match="503"):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert len(hosted.failures) == 9 - (options.retries + 1)


def test_nobody_listens(server: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    url = server.url("/a.zip?access_token=hush")
    server.server_close()
    with pytest.raises(SourceUnavailable, match="refused") as caught:
        fetch(url, tmp_path, options, lines.append)
    assert "hush" not in str(caught.value) + "".join(lines)


def test_a_silent_server_is_given_up(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, seconds_per_block=2)
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match="fell silent"):
        fetch(
            server.url("/a.zip"),
            tmp_path,
            options.model_copy(update={"timeout_seconds": 0.3, "retries": 0}),
            lines.append,
        )
    assert time.monotonic() - started < 20


def test_a_web_page_is_no_archive(server: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    server.routes["", "/a.zip"] = lambda handler: handler.page("<!DOCTYPE html><title>Log in &amp; pay</title>")
    with pytest.raises(NotAnArchive, match=r"web page .*“Log in & pay”.*direct download link"):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert not (tmp_path / "contents").exists()


def test_a_large_wrong_file_is_given_up_at_its_beginning(
    server: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", b"Rar!" + bytes(50_000_000), seconds_per_block=0.01)
    started = time.monotonic()
    with pytest.raises(NotAnArchive, match="RAR"):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert time.monotonic() - started < 20


def test_too_large_by_its_length(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    with pytest.raises(TooLarge, match="max_download_gib"):
        fetch(
            server.url("/a.zip"), tmp_path, options.model_copy(update={"max_download_gib": 1000 / 2**30}), lines.append
        )


def test_too_large_without_a_length(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive, send_length=False)
    with pytest.raises(TooLarge, match="max_download_gib"):
        fetch(
            server.url("/a.zip"), tmp_path, options.model_copy(update={"max_download_gib": 1000 / 2**30}), lines.append
        )
    assert not list(tmp_path.glob("partial/*/download.part"))


def test_a_full_disk_is_told_beforehand(
    server: Any,
    archive: bytes,
    tmp_path: Path,
    options: ArchiveSettings,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.host("/a.zip", archive)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 100_000))
    with pytest.raises(DiskFull, match=r"0\.6 MB needed \(0\.1 MB free\).*VNYATNO_HOME"):
        fetch(server.url("/a.zip"), tmp_path, options, lines.append)


def test_a_disk_that_fills_up_leaves_a_part_to_go_on_from(
    server: Any,
    archive: bytes,
    tmp_path: Path,
    options: ArchiveSettings,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.host("/a.zip", archive)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_check_beginning", full)
        with pytest.raises(DiskFull):
            fetch(server.url("/a.zip"), tmp_path, options, lines.append)
    assert not (tmp_path / "contents").exists()
    assert fetch(server.url("/a.zip"), tmp_path, options, lines.append).path.read_bytes() == archive
    assert str(ranges(server)[1]).startswith("bytes=")


def test_this_machine_is_not_downloaded_from_unless_allowed(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    with pytest.raises(ForbiddenSource, match="allow_private_network"):
        fetch(server.url("/a.zip"), tmp_path, options.model_copy(update={"allow_private_network": False}), lines.append)
    assert server.asked == []


def test_redirects_are_followed_but_not_to_files(
    server: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    server.host("/a.zip", archive)
    server.routes["", "/go"] = lambda handler: handler.redirect("/a.zip")
    assert fetch(server.url("/go"), tmp_path, options, lines.append).path.read_bytes() == archive
    server.routes["", "/evil"] = lambda handler: handler.redirect("file:///etc/passwd")
    with pytest.raises(ForbiddenSource):
        fetch(server.url("/evil"), tmp_path, options, lines.append)
    server.routes["", "/circle"] = lambda handler: handler.redirect("/circle")
    with pytest.raises(SourceNotFound, match="circles"):
        fetch(server.url("/circle"), tmp_path, options, lines.append)


@pytest.mark.parametrize("source", ["ftp://host/a.zip", "s3://bucket/a.zip", "data:application/zip;base64,AAAA"])
def test_other_schemes_are_refused(source: str, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    with pytest.raises(ForbiddenSource, match="are not taken"):
        fetch(source, tmp_path, options, lines.append)


def test_secrets_are_not_shown() -> None:
    assert shown("https://me:pass@host:8443/a.zip?X-Amz-Signature=abc&v=1") == (
        "https://***@host:8443/a.zip?X-Amz-Signature=***&v=1"
    )
    assert shown("http://[::1]:80/a.zip") == "http://[::1]:80/a.zip"
    assert shown("/data/a.zip") == "/data/a.zip"
