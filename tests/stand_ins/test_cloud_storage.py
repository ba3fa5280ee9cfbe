"""The real client finds in the stand-in what it put there."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.stand_ins.cloud_storage import CloudStorage, cloud_storage

__all__ = ["cloud_storage"]


@pytest.mark.parametrize("size", [0, 1000, 9_000_000])  # the client sends more than 8 MB in pieces
def test_what_was_uploaded_is_listed_and_downloaded(cloud_storage: CloudStorage, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"--\r\n"
    (tmp_path / "sent").write_bytes(content)
    client = storage.Client("project", AnonymousCredentials())
    bucket = client.bucket("bucket")
    bucket.blob("models/one/weights").upload_from_filename(tmp_path / "sent", content_type="application/octet-stream")
    assert [blob.name for blob in client.list_blobs(bucket, prefix="models/one/")] == ["models/one/weights"]
    assert cloud_storage.names("gs://bucket/models") == ["one/weights"]
    bucket.blob("models/one/weights").download_to_filename(tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content


def test_what_is_not_there_is_not_found(cloud_storage: CloudStorage) -> None:
    bucket = storage.Client("project", AnonymousCredentials()).bucket("bucket")
    with pytest.raises(NotFound):
        bucket.blob("nothing").download_as_bytes()
    with pytest.raises(NotFound):
        bucket.blob("nothing").delete()
