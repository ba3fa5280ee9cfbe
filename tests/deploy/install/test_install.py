"""Set-up of the virtual environment with real pip, from tiny wheels in a folder."""

from __future__ import annotations

import base64
import ensurepip
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from deploy.front.certificate import self_made
from deploy.install import __main__ as command
from deploy.install.environment import Environment, require_room
from deploy.install.errors import InstallError, explained
from deploy.install.packages import Pip, pin, progress
from deploy.run.parts import ROOT
from tests.folder_server import served

pytestmark = pytest.mark.long


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel that holds one module, which knows its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for path, text in files.items()
    )
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def write_project(folder: Path) -> Path:
    """Write a project whose locks name small wheels, which lie beside it."""
    wheels = folder / "wheels"
    wheels.mkdir()
    for name, version in (("torch", "2.13.0"), ("listening", "1.0"), ("judging", "2.0")):
        wheel(wheels, name, version)
    # Debian keeps Python's own wheels in a folder of its own.
    folders = (Path(ensurepip.__file__).parent / "_bundled", Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "."))
    bundled = next(wheel for place in folders for wheel in place.glob("pip-*.whl"))
    (wheels / bundled.name).write_bytes(bundled.read_bytes())
    pip = f"pip=={bundled.name.split('-')[1]}"
    for name in ("requirements.txt", "requirements-cuda.txt"):
        (folder / name).write_text(f"listening==1.0\n    # via tests\n{pip}\ntorch==2.13.0\n")
    (folder / "requirements-dev.txt").write_text("judging==2.0\nlistening==1.0\n")
    return folder


def only_from(patched: pytest.MonkeyPatch, project: Path) -> None:
    """Let pip look at the project's wheels alone."""
    patched.setenv("PIP_NO_INDEX", "1")
    patched.setenv("PIP_FIND_LINKS", str(project / "wheels"))
    patched.setenv("PIP_RETRIES", "0")


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was set up in a fresh folder, for the tests too; copied, never changed."""
    folder = write_project(tmp_path_factory.mktemp("set_up"))
    environment = Environment(folder / ".venv")
    with pytest.MonkeyPatch.context() as patched:
        only_from(patched, folder)
        command.into(environment, "auto", SILENT_INDEX, folder)
        command.dev_into(environment, folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project where nothing is set up yet."""
    only_from(monkeypatch, write_project(tmp_path))
    return tmp_path


@pytest.fixture
def standing(set_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is set up."""
    folder = tmp_path / "project"
    shutil.copytree(set_up, folder, symlinks=True)
    only_from(monkeypatch, folder)
    return folder


SILENT_INDEX = "http://127.0.0.1:9/whl"


def versions(environment: Environment, *modules: str) -> list[str]:
    """The versions of modules as the environment imports them."""
    code = "import " + ", ".join(modules) + "; print(*[" + ", ".join(f"{name}.__version__" for name in modules) + "])"
    return subprocess.run(
        [str(environment.python), "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


def test_a_fresh_folder_gets_what_the_locks_pin(set_up: Path) -> None:
    environment = Environment(set_up / ".venv")
    assert versions(environment, "torch", "listening", "judging") == ["2.13.0", "1.0", "2.0"]
    stamp = environment.stamp()
    assert stamp is not None
    assert stamp.torch == "default"
    assert environment.stamp(dev=True) is not None


def test_what_stands_is_left(standing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(standing / ".venv")
    monkeypatch.setattr(command, "install", lambda *_: pytest.fail("installed again"))
    monkeypatch.setattr(Pip, "install", lambda *_: pytest.fail("installed again"))
    before = environment.stamp_file().stat().st_mtime_ns
    command.into(environment, "auto", SILENT_INDEX, standing)
    command.into(environment, "default", SILENT_INDEX, standing)
    command.dev_into(environment, standing)
    assert environment.stamp_file().stat().st_mtime_ns > before  # make compares times


def test_what_changed_is_brought_up(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = Environment(standing / ".venv")
    wheel(standing / "wheels", "listening", "1.1")
    (standing / "requirements.txt").write_text((standing / "requirements.txt").read_text().replace("1.0", "1.1"))
    command.into(environment, "auto", SILENT_INDEX, standing)
    assert versions(environment, "listening") == ["1.1"]
    assert "anew" not in capsys.readouterr().out


def test_another_build_of_pytorch_makes_it_anew(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = Environment(standing / ".venv")
    command.into(environment, "cuda", SILENT_INDEX, standing)
    told = capsys.readouterr().out
    assert "another build of PyTorch is wanted (cuda, not default)" in told
    assert "2.7 GB" in told
    assert versions(environment, "listening") == ["1.0"]
    assert not environment.stamp_file(dev=True).exists()


def test_a_set_up_that_was_killed_is_begun_anew(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = Environment(standing / ".venv")
    (standing / "requirements.txt").write_text((standing / "requirements.txt").read_text() + "absent==1.0\n")
    mark = environment.folder / ".unfinished"
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # takes connections and says nothing
        hanging.settimeout(120)
        code = "import sys; from pathlib import Path; from deploy.install import __main__ as command, environment\n"
        code += "folder = Path(sys.argv[1])\n"
        code += "command.into(environment.Environment(folder / '.venv'), 'default', 'x', folder)"
        started = subprocess.Popen(
            [sys.executable, "-c", code, str(standing)],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": f"http://127.0.0.1:{hanging.getsockname()[1]}/simple"},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        hanging.accept()[0].close()  # pip has begun
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    assert mark.exists()
    assert environment.stamp() is None
    # What a killed pip may leave: a package whose record says that it is there, and whose module is not.
    [module] = environment.folder.glob("lib/python*/site-packages/listening.py")
    module.unlink()
    lock = standing / "requirements.txt"
    lock.write_text(lock.read_text().replace("absent==1.0\n", ""))
    command.into(environment, "auto", SILENT_INDEX, standing)
    assert "the last set-up was interrupted" in capsys.readouterr().out
    assert versions(environment, "listening") == ["1.0"]
    assert not mark.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = Environment(standing / ".venv")
    environment.python.unlink()
    environment.python.symlink_to(standing / "gone")
    command.into(environment, "auto", SILENT_INDEX, standing)
    assert "does not start any more" in capsys.readouterr().out
    assert versions(environment, "listening") == ["1.0"]


def test_a_failure_leaves_no_stamp(standing: Path) -> None:
    environment = Environment(standing / ".venv")
    (standing / "requirements.txt").write_text((standing / "requirements.txt").read_text() + "absent==1.0\n")
    with pytest.raises(InstallError, match="index does not answer"):
        command.into(environment, "auto", SILENT_INDEX, standing)
    assert not environment.stamp_file().exists()
    assert environment.stamp() is None


def test_a_folder_that_is_no_environment_is_not_removed(project: Path) -> None:
    folder = project / ".venv"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InstallError, match="no virtual environment; move it away"):
        command.into(Environment(folder), "auto", SILENT_INDEX, project)
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_a_build_of_pytorchs_own_index_is_taken_from_there(project: Path) -> None:
    own = project / "whl/cpu/torch"
    own.mkdir(parents=True)
    wheel(own, "torch", "2.13.0+cpu")
    [file] = own.iterdir()
    (own / "index.html").write_text(f"<!DOCTYPE html><a href='{file.as_uri()}'>{file.name}</a>")
    environment = Environment(project / ".venv")
    with served(project) as index, pytest.MonkeyPatch.context() as patched:
        patched.delenv("PIP_NO_INDEX")
        command.into(environment, "auto", f"{index}/whl", project)
    assert versions(environment, "torch") == ["2.13.0+cpu"]
    stamp = environment.stamp()
    assert stamp is not None
    assert stamp.torch == "cpu"


def test_no_room_is_told_before_anything_is_made(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1.5e9

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    with pytest.raises(InstallError, match=r"1\.5 GB free, and the set-up needs 9\.0 GB"):
        command.into(Environment(project / ".venv"), "auto", SILENT_INDEX, project)
    with pytest.raises(InstallError, match=r"needs 4\.5 GB"):
        require_room(project, "cpu")
    assert not (project / ".venv").exists()


def test_a_python_without_venv_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command.main([]) == 1
    assert f"apt-get install python3.{sys.version_info[1]}-venv" in capsys.readouterr().err


def test_a_python_out_of_range_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ((3, 11, 1), (3, 15, 0)):
        monkeypatch.setattr(sys, "version_info", version)
        assert command.main([]) == 1
        assert "needs Python 3.11.2 to 3.14" in capsys.readouterr().err


def pip_says(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    told: list[str] = []
    with pytest.raises(InstallError) as raised:
        Pip(Path(sys.executable), told.append).install(*arguments)
    assert "\n" not in str(raised.value)
    assert told, "pip's own words are shown before the remedy"
    return str(raised.value)


def test_an_index_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    said = pip_says(["--index-url", "http://127.0.0.1:9/simple", "absent-package"], monkeypatch)
    assert "HTTPS_PROXY" in said


def test_a_certificate_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path, self_made(tmp_path, [])) as index:
        said = pip_says(["--index-url", index, "absent-package"], monkeypatch)
    assert "PIP_CERT" in said


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
        (
            "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', OSError('Tunnel "
            "connection failed: 407 Proxy Authentication Required'))'\nERROR: No matching distribution found for torch",
            "the proxy refuses",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "other bytes than expected"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: 'x'", "cannot be written"),
        (
            "WARNING: Retrying after connection broken by 'ReadTimeoutError'\nERROR: torch has an invalid wheel",
            "ERROR: torch has an invalid wheel",
        ),
        ("", "pip said nothing"),
    ],
)
def test_what_pip_prints_is_explained(output: str, remedy: str) -> None:
    assert remedy in explained(output)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "Downloading torch-2.13.0-cp313-cp313-manylinux_2_28_x86_64.whl (526.6 MB)\n",
            "  downloading torch (526.6 MB)",
        ),
        ("Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)\n", None),
        ("Downloading yarl-1.25.1-py3-none-any.whl (19.0 MB)\n", None),
        ("Installing collected packages: torch\n", "  installing torch"),
        ("Installing collected packages: six, torch, yarl\n", "  installing 3 packages"),
        ("Requirement already satisfied: torch==2.13.0\n", None),
    ],
)
def test_progress_tells_what_is_large(line: str, told: str | None) -> None:
    assert progress(line) == told


def test_every_lock_pins_what_the_set_up_begins_with() -> None:
    for name in ("requirements.txt", "requirements-cuda.txt"):
        assert pin(ROOT / name, "torch").startswith("torch==")
        assert pin(ROOT / name, "pip").startswith("pip==")
