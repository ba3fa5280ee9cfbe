"""Whether the locks can be installed everywhere: `python -m deploy.install.lock_check [--if-reachable]`.

uv resolves pyproject.toml with the locks as constraints for each Python and processor, from the package index's
metadata alone: nothing is downloaded or built, and no wheel of this machine is looked at. Each package that is resolved
must be pinned, but for those that a build of PyTorch with CUDA brings and pins itself.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11.2", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-cuda.txt")
EXTRAS = ("dev", "vertex", "cuda")

# Come as source alone, in plain Python: whatever else has no wheel for a Python or processor fails the check.
SOURCE_ONLY = ("openai-whisper", "kfp", "kfp-server-api")
# What a build of PyTorch with CUDA brings. nvidia-ml-py (BentoML's) and CUDA 12's libraries (CTranslate2's) are pinned.
OF_TORCH = re.compile(r"triton|cuda-.*|nvidia-(?!ml-py$|.*-cu12$).*")

_UNREACHABLE = re.compile(
    r"Failed to fetch|error sending request|dns error|Could not connect|Request failed after|tcp connect"
)


class LockError(RuntimeError):
    """The locks cannot be installed somewhere; the message says where and why."""


class UnreachableError(LockError):
    """The package index does not answer, so that nothing was checked."""


def pins(text: str) -> dict[str, set[str]]:
    """Package to its versions, in the text of a lock."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE):
        found.setdefault(name.lower(), set()).add(version)
    return found


def resolve(python: str, platform: str, root: Path = ROOT) -> dict[str, set[str]]:
    """What pyproject.toml needs on `python` and `platform` under the locks' constraints.

    Raises `LockError` where it cannot be had, `UnreachableError` where the index does not answer.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", python, "--python-platform", platform, "--only-binary", ":all:"]
    for name in SOURCE_ONLY:
        command += ["--no-binary", name]
    for extra in EXTRAS:
        command += ["--extra", extra]
    for lock in LOCKS:
        command += ["--constraint", lock]
    done = subprocess.run([*command, "pyproject.toml"], cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        kind = UnreachableError if _UNREACHABLE.search(done.stderr) else LockError
        raise kind(f"Python {python}, {platform}: {done.stderr.strip()}")
    return pins(done.stdout)


def unpinned(resolved: dict[str, set[str]], locked: dict[str, set[str]]) -> list[str]:
    """Packages that are resolved and that no lock pins to that version."""
    return sorted(
        f"{name}=={version}"
        for name, versions in resolved.items()
        for version in versions
        if not OF_TORCH.fullmatch(name) and version not in locked.get(name, set())
    )


def check(root: Path = ROOT) -> str:
    """Resolve for every Python and processor. Returns a line for the user; raises `LockError`."""
    locked: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, versions in pins((root / lock).read_text(encoding="utf-8")).items():
            if OF_TORCH.fullmatch(name):
                raise LockError(f"{lock} pins {name}, which is PyTorch's to choose; run: make lock")
            locked.setdefault(name, set()).update(versions)
    if twice := sorted(name for name, versions in locked.items() if len(versions) > 1):
        raise LockError(f"the locks disagree on {', '.join(twice)}; run: make lock")
    places = [(python, platform) for python in PYTHONS for platform in PLATFORMS]
    with ThreadPoolExecutor(len(places)) as pool:  # they wait for the index, not for the processor
        resolutions = list(pool.map(lambda place: resolve(place[0], place[1], root), places))
    for (python, platform), resolved in zip(places, resolutions, strict=True):
        if missing := unpinned(resolved, locked):
            raise LockError(f"Python {python}, {platform}: not pinned: {', '.join(missing)}; run: make lock")
    return f"lock-check: {len(locked)} packages install on Python {', '.join(PYTHONS)}, x86-64 and aarch64"


def main(arguments: Sequence[str] | None = None) -> int:
    """The check as a command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.install.lock_check", description="Check the locks.")
    parser.add_argument("--if-reachable", action="store_true", help="no failure where the index does not answer")
    options = parser.parse_args(arguments)
    try:
        print(check(), flush=True)
    except UnreachableError as error:
        print(f"lock-check: not checked, the package index does not answer ({error})", file=sys.stderr)
        return 0 if options.if_reachable else 1
    except LockError as error:
        print(f"lock-check: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
