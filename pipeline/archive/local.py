"""Archives that lie on this machine: a path or a file: URL, below the allowed roots only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.archive.cache import Cache, Entry
from pipeline.archive.fetched import Fetched
from pipeline.archive.settings import ArchiveSettings
from pipeline.progress import Report
from speech.archives.errors import ArchiveError, ForbiddenSource, NoPermission, NotAnArchive, SourceNotFound, shown
from speech.archives.signatures import check_zip
from speech.files import sha256_file
from speech.home import Home, code_folder

ROOTS_VARIABLE = "VNYATNO_ARCHIVE_ROOTS"


def archive_roots(home: Home) -> tuple[Path, ...]:
    """Folders for local archives: those that `ROOTS_VARIABLE` names, or else VNYATNO_HOME/archives, and samples/.

    What comes with the code is always among them: the ready configurations name it.
    """
    named = os.environ.get(ROOTS_VARIABLE, "")
    own = [Path(root) for root in named.split(os.pathsep) if root]
    return (code_folder() / "samples", *(own or [home.root / "archives"]))


def local_path(source: str) -> Path:
    """The path that `source`, a path or a file: URL, names; `~` is the home folder, other paths are from here.

    Raises:
        ForbiddenSource: a file: URL that names another machine.
    """
    if not source.lower().startswith("file:"):
        return Path(source).expanduser()
    parts = urlsplit(source)
    if parts.netloc not in ("", "localhost"):
        raise ForbiddenSource(
            source, f"the file: link names another machine ({parts.netloc})", "Give a path on this one"
        )
    return Path(unquote(parts.path))


def find_local(source: str, allowed_roots: tuple[Path, ...]) -> Path:
    """The real path of a local archive, symbolic links resolved.

    Raises:
        ForbiddenSource: it is outside `allowed_roots`; said before anything about whether it exists.
        SourceNotFound: it does not exist.
        NotAnArchive: it is a folder or a device.
    """
    path = allowed_path(source, allowed_roots)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceNotFound(source, f"there is no file {path}", "Check the path for typing errors") from error
    except PermissionError as error:
        raise NoPermission(source, f"{path} may not be read", "Give this user the right to read it") from error
    except OSError as error:  # a link to itself, which Python 3.13 resolves without complaint
        raise SourceNotFound(source, f"the path cannot be followed ({error})", "Check it for typing errors") from error
    if stat.S_ISDIR(mode):
        raise NotAnArchive(
            source, f"{path} is a folder", "Pack data_train.csv and data_mp3 into one .zip and give that"
        )
    if not stat.S_ISREG(mode):
        raise NotAnArchive(source, f"{path} is no ordinary file", "Give the path of a .zip")
    return path


def allowed_path(source: str, allowed_roots: tuple[Path, ...]) -> Path:
    """The real path that `source` names, symbolic links resolved, whether anything is there or not.

    Raises:
        ForbiddenSource: it is outside `allowed_roots`.
        SourceNotFound: it cannot be followed.
    """
    try:
        path = local_path(source).resolve()
    except ArchiveError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, an unknown ~user, a NUL in the name
        raise SourceNotFound(source, f"the path cannot be followed ({error})", "Check it for typing errors") from error
    roots = [root.resolve() for root in allowed_roots]
    if not any(path.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(str, roots)) or "none is set"
        raise ForbiddenSource(
            source,
            f"{path} is outside the folders that local archives may lie in ({allowed})",
            "Move the archive there, or add its folder to the allowed roots",
        )
    return path


def fetch_local(source: str, cache: Cache, settings: ArchiveSettings, progress: Report) -> Fetched:
    """The user's own file, in its place; hashed again only when its size, time of change or inode differ."""
    path = find_local(source, settings.roots)
    key = f"file:{path}"
    before = path.stat()
    known = cache.entry(key)
    if known and not settings.refresh and _facts(before) == (known.bytes, known.mtime_ns, known.inode):
        progress(f"{shown(source)}: unchanged since it was last read")
        return Fetched(shown(source), path, known.sha256, known.bytes, reused=True)
    check_zip(source, path)
    progress(f"{shown(source)}: reading {before.st_size / 1e6:.1f} MB")
    sha256 = sha256_file(path)
    if _facts(path.stat()) != _facts(before):
        raise ArchiveError(source, "the file changed while it was read", "Wait until it is whole, then launch again")
    cache.remember(
        key,
        Entry(
            shown(source),
            sha256,
            before.st_size,
            path=str(path),
            mtime_ns=before.st_mtime_ns,
            inode=before.st_ino,
        ),
    )
    return Fetched(shown(source), path, sha256, before.st_size, reused=False)


def _facts(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino
