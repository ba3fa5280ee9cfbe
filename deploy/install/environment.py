"""The virtual environment: whole, or made anew."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.install.errors import InstallError

OLDEST, BEYOND = (3, 11, 2), (3, 15)  # Debian 12 has 3.11.2; a newer series than 3.14 has no wheels of everything yet
ROOM = {"cpu": 4.5e9, "other": 9e9}  # bytes that a new environment takes, downloads among them


@dataclass(frozen=True)
class Stamp:
    """What an environment was made from: sha256 of the requirements, the build of torch, the series of Python."""

    requirements: str
    torch: str
    python: str


class Environment:
    """The virtual environment in `folder`.

    A file `.unfinished` stands in it while packages are installed. Where that file is found at the beginning, the
    set-up was interrupted, and pip may take a half-written package for an installed one. The folder is then made anew;
    what was downloaded lies in pip's cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._unfinished = folder / ".unfinished"

    def stamp_file(self, dev: bool = False) -> Path:
        """The file that says that the packages (`dev`: of the tests) stand whole; make compares its time."""
        return self.folder / (".packages-dev" if dev else ".packages")

    def stamp(self, dev: bool = False) -> Stamp | None:
        """What the environment was made from; None where it is unfinished or that is not known."""
        if self._unfinished.exists():
            return None
        try:
            return Stamp(**json.loads(self.stamp_file(dev).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def works(self) -> bool:
        """Whether its Python starts and finds pip: not after the system's Python was replaced."""
        try:
            asked = [str(self.python), "-c", "import pip, sys; sys.exit(sys.prefix == sys.base_prefix)"]
            return subprocess.run(asked, capture_output=True, timeout=60).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def why_anew(self, torch: str) -> str | None:
        """Why the folder cannot be gone on with, or None. `torch` is the build that is wanted now."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return None
        if self._unfinished.exists():
            return "the last set-up was interrupted"
        if not self.works():
            return "its Python does not start any more, or has no pip"
        made = self.stamp()
        if made is None and self.stamp_file().exists():
            return "an older version made it"
        if made and made.torch != torch:
            return f"another build of PyTorch is wanted ({torch}, not {made.torch})"
        return None

    def begin(self) -> None:
        """Make the folder, if it is not there, and mark it unfinished. Raises `InstallError`."""
        if not self.works():
            made = subprocess.run([sys.executable, "-m", "venv", str(self.folder)], capture_output=True, text=True)
            if made.returncode != 0:
                shutil.rmtree(self.folder, ignore_errors=True)
                raise InstallError(f"no virtual environment could be made: {last_line(made.stdout + made.stderr)}")
        self._unfinished.touch()
        for dev in (False, True):
            self.stamp_file(dev).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder. Raises `InstallError` where it is not a virtual environment: it holds something else."""
        if not (self.folder / "pyvenv.cfg").is_file() and not self._unfinished.exists():
            raise InstallError(f"{self.folder} is no virtual environment; move it away, then run again")
        # Its marks go last, so that a removal that is interrupted is begun again.
        for entry in self.folder.iterdir():
            if entry.name not in ("pyvenv.cfg", self._unfinished.name):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.rmtree(self.folder)

    def finish(self, stamp: Stamp, dev: bool = False) -> None:
        """Say that the packages stand whole."""
        self.stamp_file(dev).write_text(json.dumps(asdict(stamp)) + "\n", encoding="utf-8")
        self._unfinished.unlink(missing_ok=True)


def last_line(text: str) -> str:
    """The last line of `text` that is not empty."""
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["nothing was said"])[-1]


def digest(files: Sequence[Path]) -> str:
    """The sha256 of the files' contents."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def require_python() -> None:
    """Raise `InstallError` unless this Python is one that Vnyatno runs on and can make virtual environments."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST <= sys.version_info[:3] < (*BEYOND, 0):
        raise InstallError(f"Vnyatno needs Python 3.11.2 to 3.14, and {sys.executable} is {version}")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        series = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        raise InstallError(f"Python {version} has no venv module; on Debian and Ubuntu: apt-get install {series}-venv")


def require_room(folder: Path, torch: str) -> None:
    """Raise `InstallError` where the disk of `folder`, an existing one, has no room for a new environment."""
    needed = ROOM.get(torch, ROOM["other"])
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InstallError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free, and the set-up needs {needed / 1e9:.1f} GB; "
            "make room, or clone the project to another disk"
        )
