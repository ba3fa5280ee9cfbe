"""The form around an uploaded file, however its bytes are cut, and whose uploads a process that starts removes."""

from __future__ import annotations

from pathlib import Path

import pytest

from web.files import FileError, FileStore
from web.uploads.form import FileForm, FormRefused
from web.uploads.incoming import Limits
from web.uploads.register import Uploads

HEAD = b'--mark\r\nContent-Disposition: form-data; name="a"; filename="\xd0\xb0.zip"\r\nContent-Type: a/b\r\n\r\n'
END = b"\r\n--mark--\r\n"
KIND = "multipart/form-data; boundary=mark"


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize("data", [b"", b"sound", b"\r\n--mar\r\n--", bytes(range(256)) * 3])
def test_a_file_comes_out_of_its_form(data: bytes, step: int) -> None:
    body, taken = HEAD + data + END, bytearray()
    form = FileForm(KIND, taken.extend)
    for at in range(0, len(body), step):
        form.feed(body[at : at + step])
    assert bytes(taken) == data
    assert form.emptied() == HEAD + END


def test_a_field_beside_it_is_passed_over() -> None:
    taken = bytearray()
    form = FileForm(KIND, taken.extend)
    form.feed(b'--mark\r\nContent-Disposition: form-data; name="b"\r\n\r\nnot it\r\n' + HEAD + b"it" + END)
    assert (bytes(taken), form.emptied()) == (b"it", HEAD + END)


def emptied(body: bytes) -> bytes:
    form = FileForm(KIND, lambda _: None)
    form.feed(body)
    return form.emptied()


@pytest.mark.parametrize("body", [b"", HEAD + b"half", b"--other--", END.lstrip()])
def test_a_form_without_a_whole_file(body: bytes) -> None:
    with pytest.raises(FormRefused):
        emptied(body)


@pytest.mark.parametrize("kind", ["", "application/zip", "multipart/form-data", "multipart/form-data; boundary="])
def test_another_kind_of_body(kind: str) -> None:
    with pytest.raises(FormRefused):
        FileForm(kind, lambda _: None)


def uploads(folder: Path) -> Uploads:
    return Uploads(FileStore(folder / "files", 100, 1_000), folder / "processes", Limits(500, 0))


def take(here: Uploads, file_id: str, data: bytes = b"sound", owner: int = 1) -> Path:
    upload = here.begin("session", file_id, owner)
    upload.begin(len(data))
    upload.write(memoryview(data))
    upload.end()
    return upload.path


def test_who_starts_removes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    living = uploads(tmp_path)
    path = take(living, "a")
    left = path.with_name(f"{'0' * 32}.upload")
    left.write_bytes(b"x")
    (tmp_path / "processes" / ("0" * 16)).write_bytes(b"")
    another = uploads(tmp_path)
    assert (path.exists(), left.exists()) == (True, False)
    assert len(list((tmp_path / "processes").iterdir())) == 2
    another.close()
    assert path.exists()
    living.close()
    assert not path.exists()
    assert list((tmp_path / "processes").iterdir()) == []


def test_an_upload_is_its_owners_and_goes_with_its_session(tmp_path: Path) -> None:
    here = uploads(tmp_path)
    path = take(here, "a")
    assert here.find("session", "a", 1) == path
    for session, file_id, owner in (
        ("session", "a", 2),
        ("session", "a", None),
        ("other", "a", 1),
        ("session", "b", 1),
    ):
        with pytest.raises(FileError, match="file_not_found"):
            here.find(session, file_id, owner)
    again = take(here, "a", b"again")
    assert (path.exists(), here.find("session", "a", 1)) == (False, again)
    here.drop_session("other")
    assert again.exists()
    here.drop_session("session")
    assert not again.exists()
    here.close()


def test_what_is_dropped_on_its_way_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    here = uploads(tmp_path)
    upload = here.begin("session", "a", 1)
    here.drop_session("session")
    with pytest.raises(FileError):
        upload.begin(1)
    upload = here.begin("session", "a", 1)
    upload.begin(1)
    with pytest.raises(FileError):
        here.find("session", "a", 1)  # not whole
    here.drop("session", "a")
    with pytest.raises(FileError):
        upload.write(memoryview(b"x"))
    upload.close()
    assert list(tmp_path.glob("files/1/*")) == []
    here.close()


def test_limits_hold_while_it_comes(tmp_path: Path) -> None:
    here = uploads(tmp_path)
    for file_id in ("a", "b"):
        take(here, file_id, bytes(450))
    upload = here.begin("session", "c", 1)
    with pytest.raises(FileError, match="file_no_room"):
        upload.begin(101)
    upload = here.begin("session", "c", 1)
    upload.begin(0)
    upload.write(memoryview(bytes(101)))
    with pytest.raises(FileError, match="file_no_room"):
        upload.end()
    here.give_up("session", "c", upload)
    other = here.begin("session", "d", 2)
    other.begin(0)
    with pytest.raises(FileError, match="file_too_large"):
        other.write(memoryview(bytes(501)))
    here.close()
    assert list(tmp_path.glob("files/*/*")) == []
