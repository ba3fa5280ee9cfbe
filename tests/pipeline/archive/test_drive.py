"""Google Drive through the real gdown, with a local server in Drive's place."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.drive_links import is_drive_link, parse_drive_link
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.sources import fetch
from speech.archives.errors import (
    ForbiddenSource,
    NoPermission,
    NotAnArchive,
    QuotaExceeded,
    SourceNotFound,
    SourceUnavailable,
    TooLarge,
    Truncated,
    UnsupportedLink,
)

ID = "16NmrEiqS5Up_jcwbGNAC62yAfR3ZkJrs"
LINK = f"https://drive.google.com/file/d/{ID}/view?usp=drive_link"
CONTENT = "drive.usercontent.google.com"
ATTACHMENT = {"Content-Disposition": 'attachment; filename="a.zip"'}

QUOTA_PAGE = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing the
file again later.</p></body></html>"""
QUOTA_PAGE_ONE_LINE = QUOTA_PAGE.replace("\n", " ")
RUSSIAN_QUOTA_PAGE = """<!DOCTYPE html><html lang="ru"><title>Google Диск – квота превышена</title>
<div>К сожалению, вы не можете скачать этот файл.</div></html>"""
SIGN_IN_PAGE = """<!doctype html><html><head><title>Google Drive: Sign-in</title></head>
<body>to continue to Google Drive</body></html>"""
ACCESS_PAGE = "<!DOCTYPE html><html><title>Google Drive - Access Denied</title><p>You need access</p></html>"
# Drive writes its pages in one line, and gdown reads them line by line.
WARNING_PAGE = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">
<input type="submit" id="uc-download-link" value="Download anyway"/>
<input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="c0ffee"></form>
</body></html>""".replace("\n", " ")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """gdown waits a random time between attempts."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)


def redirecting(drive: Any) -> None:
    """/uc leads to the host that holds the files, as it does at Drive."""

    def answer(handler: Any) -> None:
        fields = "&".join(f"{name}={value}" for name, value in handler.fields.items())
        handler.redirect(f"https://{CONTENT}/download?{fields}&export=download")

    drive.routes["drive.google.com", "/uc"] = answer


def hosted(drive: Any, body: bytes, **manners: Any) -> Any:
    redirecting(drive)
    file = drive.host("", body, headers=ATTACHMENT, **manners)
    drive.routes[CONTENT, "/download"] = file
    return file


def paged(drive: Any, text: str, status: int = 200) -> None:
    redirecting(drive)
    drive.routes[CONTENT, "/download"] = lambda handler: handler.page(text, status)


@pytest.mark.parametrize(
    "link",
    [
        f"https://drive.google.com/file/d/{ID}/view?usp=drive_link",
        f"https://drive.google.com/file/d/{ID}/view?usp=sharing",
        f"https://drive.google.com/file/d/{ID}/edit",
        f"https://drive.google.com/file/d/{ID}/preview",
        f"https://drive.google.com/file/d/{ID}",
        f"https://drive.google.com/file/u/0/d/{ID}/view",
        f"https://drive.google.com/u/1/file/d/{ID}/view",
        f"https://drive.google.com/a/school.ru/file/d/{ID}/view",
        f"https://drive.google.com/open?id={ID}",
        f"https://drive.google.com/open?id={ID}&usp=drive_copy",
        f"https://drive.google.com/u/0/open?id={ID}",
        f"https://drive.google.com/uc?id={ID}&export=download",
        f"https://drive.google.com/uc?export=download&id={ID}",
        f"https://drive.google.com/u/0/uc?id={ID}",
        f"https://docs.google.com/uc?export=download&id={ID}",
        f"https://docs.google.com/file/d/{ID}/edit",
        f"https://drive.usercontent.google.com/download?id={ID}&export=download&confirm=t",
        f"https://drive.usercontent.google.com/u/0/uc?id={ID}&export=download",
        f"http://drive.google.com/file/d/{ID}/view",
        f"drive.google.com/file/d/{ID}/view",
    ],
)
def test_links_of_every_form(link: str) -> None:
    assert is_drive_link(link)
    assert parse_drive_link(link).id == ID


def test_resource_key() -> None:
    file = parse_drive_link(f"https://drive.google.com/file/d/{ID}/view?usp=sharing&resourcekey=0-aBc_D")
    assert file.resource_key == "0-aBc_D"


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com.evil.example/file/d/x",
        "https://drive.google.com@evil.example/file/d/x",
        "https://example.com/drive.google.com/file/d/x",
        "/data/drive.google.com/a.zip",
        "ftp://drive.google.com/a.zip",
        "http://[broken",
    ],
)
def test_links_that_only_look_like_it(link: str) -> None:
    assert not is_drive_link(link)


@pytest.mark.parametrize(
    ("link", "what"),
    [
        (f"https://drive.google.com/drive/folders/{ID}?usp=sharing", "folder"),
        (f"https://drive.google.com/drive/u/0/folders/{ID}", "folder"),
        (f"https://drive.google.com/folderview?id={ID}", "folder"),
        (f"https://docs.google.com/spreadsheets/d/{ID}/edit", "document"),
        (f"https://docs.google.com/document/u/0/d/{ID}/edit", "document"),
        ("https://drive.google.com/drive/my-drive", "no file id"),
        ("https://drive.google.com/open?id=../../x", "no file id"),
    ],
)
def test_links_that_lead_to_no_file(
    link: str, what: str, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    with pytest.raises(UnsupportedLink, match=what):
        fetch(link, tmp_path, options, lines.append)


def test_download(drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    hosted(drive, archive)
    fetched = fetch(LINK, tmp_path, options, lines.append)
    assert fetched.path.read_bytes() == archive
    assert fetched.source == LINK
    assert any("0.6 MB" in line for line in lines)


def test_download_past_the_virus_warning(
    drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    redirecting(drive)
    file = drive.host("", archive, headers=ATTACHMENT)

    def warn_first(handler: Any) -> None:
        if handler.fields.get("confirm") == "t" and handler.fields.get("uuid") == "c0ffee":
            handler.file(file)
        else:
            handler.page(WARNING_PAGE.format(id=ID))

    drive.routes[CONTENT, "/download"] = warn_first
    assert fetch(LINK, tmp_path, options, lines.append).path.read_bytes() == archive


def test_warnings_without_end_are_given_up(
    drive: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    paged(drive, WARNING_PAGE.format(id=ID))
    with pytest.raises(SourceUnavailable, match="nothing of the file within 1 s"):
        fetch(LINK, tmp_path, options.model_copy(update={"timeout_seconds": 0.5, "retries": 0}), lines.append)


def test_the_resource_key_reaches_drive(
    drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted(drive, archive)
    fetch(f"https://drive.google.com/open?id={ID}&resourcekey=0-key", tmp_path, options, lines.append)
    assert drive.asked[0][0] == f"/uc?id={ID}&resourcekey=0-key"


def test_another_form_of_the_link_does_not_download_again(
    drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted(drive, archive)
    first = fetch(LINK, tmp_path, options, lines.append)
    asked = len(drive.asked)
    second = fetch(f"https://drive.google.com/open?id={ID}", tmp_path, options, lines.append)
    assert second.reused
    assert second.path == first.path
    assert len(drive.asked) == asked


def test_refresh_downloads_again(
    drive: Any, archive: bytes, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted(drive, archive)
    fetch(LINK, tmp_path, options, lines.append)
    other = pack({"data_mp3/train/b.mp3": b"other"})
    hosted(drive, other)
    assert fetch(LINK, tmp_path, options.model_copy(update={"refresh": True}), lines.append).path.read_bytes() == other


def test_a_cut_connection_is_continued_in_the_same_run(
    drive: Any, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    # gdown reads blocks of 512 kB, so less than one of them leaves nothing to go on from.
    body = pack({"data_mp3/train/a.mp3": random.Random(1).randbytes(2_000_000)})
    hosted(drive, body, cuts=[1_500_000])
    assert fetch(LINK, tmp_path, options, lines.append).path.read_bytes() == body
    assert any(headers.get("range", "").startswith("bytes=1") for _, headers in drive.asked)


def test_a_failed_run_is_continued_by_the_next(
    drive: Any, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    body = pack({"data_mp3/train/a.mp3": random.Random(1).randbytes(2_000_000)})
    hosted(drive, body, cuts=[1_500_000])
    with pytest.raises(SourceUnavailable, match="continues where it broke off"):
        fetch(LINK, tmp_path, options.model_copy(update={"retries": 0}), lines.append)
    assert not (tmp_path / "contents").exists()
    drive.asked.clear()
    assert fetch(LINK, tmp_path, options, lines.append).path.read_bytes() == body
    assert any(headers.get("range", "").startswith("bytes=1") for _, headers in drive.asked)


def test_a_part_survives_a_second_failed_run(
    drive: Any, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    body = pack({"data_mp3/train/a.mp3": random.Random(1).randbytes(2_000_000)})
    hosted(drive, body, cuts=[1_500_000])
    with pytest.raises(SourceUnavailable):
        fetch(LINK, tmp_path, options.model_copy(update={"retries": 0}), lines.append)
    paged(drive, QUOTA_PAGE)
    with pytest.raises(QuotaExceeded):
        fetch(LINK, tmp_path, options, lines.append)
    hosted(drive, body)
    drive.asked.clear()
    fetch(LINK, tmp_path, options, lines.append)
    assert any(headers.get("range", "").startswith("bytes=1") for _, headers in drive.asked)


def test_a_part_that_cannot_be_continued_is_dropped(
    drive: Any, pack: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    body = pack({"data_mp3/train/a.mp3": random.Random(1).randbytes(2_000_000)})
    hosted(drive, body, cuts=[1_500_000])
    with pytest.raises(SourceUnavailable):
        fetch(LINK, tmp_path, options.model_copy(update={"retries": 0}), lines.append)
    hosted(drive, body, ranges=False)
    assert fetch(LINK, tmp_path, options, lines.append).path.read_bytes() == body
    assert any("starting over" in line for line in lines)


@pytest.mark.parametrize("page", [QUOTA_PAGE, QUOTA_PAGE_ONE_LINE, RUSSIAN_QUOTA_PAGE])
@pytest.mark.parametrize("status", [200, 403])
def test_quota(drive: Any, page: str, status: int, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    paged(drive, page, status)
    with pytest.raises(QuotaExceeded, match=rf"{ID}.*quota.*copy of the file in your own Drive.*24 hours"):
        fetch(LINK, tmp_path, options, lines.append)


def test_too_many_requests_from_this_network(
    drive: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    paged(drive, "<html>We're sorry... your computer or network may be sending automated queries.</html>", 429)
    with pytest.raises(QuotaExceeded, match="network"):
        fetch(LINK, tmp_path, options, lines.append)


def test_a_private_file_asks_to_sign_in(drive: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    drive.routes["drive.google.com", "/uc"] = lambda handler: handler.redirect(
        "https://accounts.google.com/ServiceLogin?continue=x"
    )
    drive.routes["accounts.google.com", "/ServiceLogin"] = lambda handler: handler.page(SIGN_IN_PAGE)
    with pytest.raises(NoPermission, match=rf"{ID}.*not shared.*Anyone with the link"):
        fetch(LINK, tmp_path, options, lines.append)


@pytest.mark.parametrize("status", [200, 403])
def test_access_denied(drive: Any, status: int, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    paged(drive, ACCESS_PAGE, status)
    with pytest.raises(NoPermission, match="Anyone with the link"):
        fetch(LINK, tmp_path, options, lines.append)


def test_a_link_to_nothing(drive: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    paged(drive, "<html><title>Error 404 (Not Found)!!1</title>Sign in. The file does not exist.</html>", 404)
    with pytest.raises(SourceNotFound, match=rf"{ID}.*no such file"):
        fetch(LINK, tmp_path, options, lines.append)


def test_drive_out_of_order(drive: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    paged(drive, "<html>Backend error</html>", 503)
    with pytest.raises(SourceUnavailable, match="503"):
        fetch(LINK, tmp_path, options, lines.append)


def test_an_unknown_page_is_quoted(drive: Any, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    paged(drive, "<html><title>Something new</title></html>")
    with pytest.raises(NotAnArchive, match=r"“Something new”.*private browser window"):
        fetch(LINK, tmp_path, options, lines.append)


@pytest.mark.parametrize(
    ("body", "error"), [(QUOTA_PAGE.encode(), QuotaExceeded), (b"Rar!rest", NotAnArchive), (b"", NotAnArchive)]
)
def test_an_attachment_that_is_no_zip_is_not_kept(
    drive: Any,
    body: bytes,
    error: type[Exception],
    archive: bytes,
    tmp_path: Path,
    options: ArchiveSettings,
    lines: list[str],
) -> None:
    hosted(drive, body)
    with pytest.raises(error):
        fetch(LINK, tmp_path, options, lines.append)
    hosted(drive, archive)
    assert fetch(LINK, tmp_path, options, lines.append).path.read_bytes() == archive


def test_a_truncated_upload(
    drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted(drive, archive[:300_000])
    with pytest.raises(Truncated, match="upload the archive again"):
        fetch(LINK, tmp_path, options, lines.append)


def test_too_large(drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]) -> None:
    hosted(drive, archive)
    with pytest.raises(TooLarge, match="max_download_gib"):
        fetch(LINK, tmp_path, options.model_copy(update={"max_download_gib": 100_000 / 2**30}), lines.append)
    assert not list(tmp_path.glob("partial/*"))


def test_a_silent_drive_is_given_up(
    drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted(drive, archive, seconds_per_block=2)
    with pytest.raises(SourceUnavailable, match="timed out"):
        fetch(LINK, tmp_path, options.model_copy(update={"timeout_seconds": 0.3, "retries": 0}), lines.append)


def test_gdown_does_not_get_into_the_private_network_either(
    drive: Any, archive: bytes, tmp_path: Path, options: ArchiveSettings, lines: list[str]
) -> None:
    hosted(drive, archive)
    with pytest.raises(ForbiddenSource, match=rf"{ID}.*127\.0\.0\.1"):
        fetch(LINK, tmp_path, options.model_copy(update={"allow_private_network": False}), lines.append)
    assert drive.asked == []


def test_nothing_is_written_to_the_home_folder(
    drive: Any,
    archive: bytes,
    tmp_path: Path,
    options: ArchiveSettings,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    hosted(drive, archive)
    fetch(LINK, tmp_path / "cache", options, lines.append)
    assert not (tmp_path / "home").exists()
    assert capfd.readouterr() == ("", "")
