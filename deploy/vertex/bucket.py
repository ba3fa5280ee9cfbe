"""A bundle that lies in Google Cloud Storage, or in a folder, as its files: `gs://bucket/prefix`, `file:///path`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from speech.bundles.defects import BundleError


def is_uri(bundle: str) -> bool:
    """Whether a bundle is named by where it lies rather than by its id."""
    return "://" in bundle


def fetched(uri: str, folder: Path) -> Path:
    """The folder with the files of the bundle that lies at `uri`.

    Files from a bucket are copied into `folder`, which is empty; those on this machine's disk are left where they are.
    Nothing is checked yet. Raises `BundleError`.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if parts.scheme != "gs" or not parts.netloc:
        raise BundleError(f"{uri} names no bundle: give gs://bucket/prefix, file:///path, or a path", "missing")
    _download(uri, parts.netloc, parts.path.strip("/"), folder)
    return folder


def _download(uri: str, bucket: str, prefix: str, folder: Path) -> None:
    try:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import storage
    except ImportError as error:
        raise BundleError(
            f"{uri} lies in Google Cloud Storage, and its client is not installed; install google-cloud-storage, which "
            "the extra `vertex` names",
            "missing",
        ) from error
    start = f"{prefix}/" if prefix else ""
    try:
        blobs = [blob for blob in storage.Client().list_blobs(bucket, prefix=start) if not blob.name.endswith("/")]
        for blob in blobs:
            name = blob.name.removeprefix(start)
            if "/" in name or name.startswith("."):  # what lies there is not ours to name files with
                raise BundleError(f"{uri} holds {name}, which is no file of a bundle")
            blob.download_to_filename(folder / name)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise BundleError(f"{uri} cannot be read: {error}", "missing") from error
    if not blobs:
        raise BundleError(f"there is nothing at {uri}", "missing")
