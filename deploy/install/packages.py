"""What pip does in a set-up, and what it says on the way."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.install.errors import InstallError, explained
from deploy.install.torch_build import TorchBuild

Say = Callable[[str], None]

_LARGE = re.compile(r"Downloading (\S+?)(?:-\d\S*)? \((\d+(?:\.\d+)?) (MB|GB)\)")
_LARGE_MB = 20.0  # smaller downloads are over in a second or two, and there are two hundred of them


def pin(requirements: Path, package: str) -> str:
    """The line `package==version` of a lock. Raises `InstallError` where it has none."""
    found = re.search(rf"^{re.escape(package)}==[^\s;]+", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise InstallError(f"{requirements.name} does not pin {package}; fetch the project again")
    return found.group()


class Pip:
    """pip of one Python."""

    def __init__(self, python: Path, say: Say) -> None:
        self._command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        self._say = say

    def install(self, *arguments: str) -> None:
        """Install, and tell what is large. Raises `InstallError` with the remedy, after pip's own words."""
        command = [*self._command, "install", "--progress-bar", "off", *arguments]
        lines: list[str] = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if told := progress(line):
                    self._say(told)
        if process.returncode != 0:
            self._say("".join(lines[-12:]).rstrip())
            raise InstallError(explained("".join(lines)))


def progress(line: str) -> str | None:
    """What a line of pip's is worth telling: large downloads, and that installing begins."""
    if (found := _LARGE.search(line)) and (found[3] == "GB" or float(found[2]) >= _LARGE_MB):
        return f"  downloading {found[1]} ({found[2]} {found[3]})"
    if line.startswith("Installing collected packages: "):
        names = line.split(": ", 1)[1].strip().split(", ")
        return f"  installing {names[0] if len(names) == 1 else f'{len(names)} packages'}"
    return None


def install(pip: Pip, lock: Path, build: TorchBuild) -> None:
    """Install what `lock` pins, with the given build of PyTorch.

    Dependencies are not followed, since the lock names them all. The exception is what only a build of PyTorch with
    CUDA brings; that build pins it itself. Whisper's package asks for one of those (triton) everywhere, and uses it on
    a GPU alone.
    """
    torch = pin(lock, "torch")
    pip.install("--quiet", pin(lock, "pip"))  # an old one resumes no download and knows no system certificates
    source = ["--index-url", build.index] if build.index else []
    pip.install("--no-deps", *source, torch)
    pip.install("--no-deps", "--requirement", str(lock))
    if build.name != "cpu":
        pip.install(*source, torch, "--constraint", str(lock))
