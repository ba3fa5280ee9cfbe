"""Sets up: `python -m deploy.install [--dev] [--torch auto|cpu|cuda|default] [--into FOLDER | --here]`.

Runs on any supported Python without anything installed. What stands already is left as it is; what was begun and not
finished is made anew.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.install.environment import Environment, Stamp, digest, require_python, require_room
from deploy.install.errors import InstallError
from deploy.install.packages import Pip, install
from deploy.install.torch_build import CHOICES, INDEX, choose, find_driver, lock_of

ROOT = Path(__file__).resolve().parents[2]


def say(message: str) -> None:
    print(message, flush=True)


def into(environment: Environment, wanted: str, index: str, root: Path = ROOT) -> None:
    """Bring the virtual environment to what the lock pins. Raises `InstallError`."""
    made = environment.stamp()
    if made and wanted in ("auto", made.torch) and environment.works():
        wanted = made.torch  # decided when it was made: an index that answers today is no reason to make it anew
        if made.requirements == _digest(wanted, root):
            environment.finish(made)  # newer than the lock for make
            return
    build = choose(wanted, find_driver(), index)
    if why := environment.why_anew(build.name):
        say(f"making {environment.folder.name} anew: {why}")
        environment.remove()
    if not environment.works():
        require_room(environment.folder.resolve().parent, build.name)
    lock = root / lock_of(build.name)
    say(f"installing {_count(lock)} packages into {environment.folder.name}; this takes minutes")
    say(f"PyTorch {build.why}")
    environment.begin()
    install(Pip(environment.python, say), lock, build)
    series = f"{sys.version_info[0]}.{sys.version_info[1]}"
    environment.finish(Stamp(_digest(build.name, root), build.name, series))


def dev_into(environment: Environment, root: Path = ROOT) -> None:
    """Add what the tests need to a virtual environment that stands. Raises `InstallError`."""
    lock = root / "requirements-dev.txt"
    made = environment.stamp()
    if made is None or not environment.works():
        raise InstallError("set up first: make setup")
    wanted = Stamp(digest([lock]), made.torch, made.python)
    if environment.stamp(dev=True) != wanted:
        say("installing what the tests need")
        environment.begin()
        Pip(environment.python, say).install("--no-deps", "--requirement", str(lock))
        environment.finish(made)
    environment.finish(wanted, dev=True)


@contextmanager
def alone(root: Path = ROOT) -> Iterator[None]:
    """Wait until no other set-up works in the project's folder."""
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way here; waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _digest(torch: str, root: Path) -> str:
    return digest([root / lock_of(torch)])


def _count(lock: Path) -> int:
    return sum(line[:1].isalnum() for line in lock.read_text(encoding="utf-8").splitlines())


def main(arguments: Sequence[str] | None = None) -> int:
    """The set-up command. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.install", description="Install what Vnyatno runs on.")
    parser.add_argument("--torch", default="auto", metavar="BUILD", help=f"{CHOICES}; auto: as the machine wants it")
    parser.add_argument("--dev", action="store_true", help="what the tests need, into an environment that stands")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--into", type=Path, default=Path(".venv"), metavar="FOLDER", help="default .venv")
    where.add_argument("--here", action="store_true", help="into this Python itself, as in an image")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    index = os.environ.get("TORCH_INDEX", INDEX).rstrip("/")
    try:
        require_python()
        with alone():
            if options.here:
                build = choose(options.torch, find_driver(), index)
                say(f"PyTorch {build.why}")
                install(Pip(Path(sys.executable), say), ROOT / lock_of(build.name), build)
            elif options.dev:
                dev_into(Environment(options.into))
            else:
                into(Environment(options.into), options.torch, index)
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror}; mend that, then run again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run again, it begins where it can", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
