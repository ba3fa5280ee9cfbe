"""A bundle as one file: exported here, imported on another machine.

python -m speech.bundles.transfer export BUNDLE_ID FILE
python -m speech.bundles.transfer import FILE
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from speech.bundles.defects import (
    FILES,
    MANIFEST,
    BundleError,
    check_id,
    files_of,
    read_config,
    verify,
)
from speech.ctc.processor_files import PROCESSOR_FILES
from speech.files import sync_folder, sync_tree
from speech.home import Home, home

_LARGEST = 16 << 30  # bytes of one unpacked file; weights of the largest public speech encoders stay far below
_YEAR = (1980, 1, 1, 0, 0, 0)  # equal bundles give equal files


def export_bundle(folder: Path, file: Path) -> None:
    """Write a verified bundle to `file` (a zip, uncompressed: weights do not shrink).

    Raises `BundleError`, and OSError where `file` cannot be written.
    """
    verify(folder)
    part = file.with_name(file.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in files_of(folder):
                entry = zipfile.ZipInfo(name, _YEAR)
                with archive.open(entry, "w", force_zip64=True) as target, (folder / name).open("rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def import_bundle(file: Path, target: Home) -> str:
    """Take an exported bundle, or a folder of a bundle's files, into the data folder, verified, and return its id.

    Raises `BundleError`.
    """
    target.bundles.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.bundles, prefix=".import.") as temporary:
        folder = Path(temporary) / "bundle"
        folder.mkdir()
        _copy(file, folder) if file.is_dir() else _unpack(file, folder)
        verify(folder)
        bundle_id = check_id(read_config(folder).id)
        final = target.bundles / bundle_id
        if final.exists():
            _require_equal(final, folder)
        else:
            sync_tree(folder)
            folder.rename(final)
            sync_folder(target.bundles)
    return bundle_id


def _require_equal(final: Path, folder: Path) -> None:
    if (final / MANIFEST).read_bytes() != (folder / MANIFEST).read_bytes():
        raise BundleError(f"another bundle named {final.name} stands there already; it was left as it is")
    verify(final)


def _copy(source: Path, folder: Path) -> None:
    names = {path.name for path in source.iterdir()}
    if set(names) - set(PROCESSOR_FILES) != {*FILES, MANIFEST}:
        raise BundleError(f"{source} holds no bundle: in it are {', '.join(sorted(names))[:200] or 'no files'}")
    for name in names:
        shutil.copyfile(source / name, folder / name)


def _unpack(file: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if set(entries) - set(PROCESSOR_FILES) != {*FILES, MANIFEST}:  # which of these belong, the manifest says
                raise BundleError(f"{file.name} is no exported bundle: it holds {', '.join(sorted(entries))[:200]}")
            for name, entry in entries.items():
                if entry.file_size > _LARGEST:
                    raise BundleError(f"{file.name}: {name} is too large")
                with archive.open(entry) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise BundleError(f"{file} cannot be read as an exported bundle: {error}") from error


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m speech.bundles.transfer", description="Export or import a bundle.")
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write a bundle to one file")
    export.add_argument("bundle_id")
    export.add_argument("file", type=Path)
    commands.add_parser("import", help="take a bundle from a file").add_argument("file", type=Path)
    arguments = parser.parse_args(given)
    try:
        if arguments.command == "export":
            export_bundle(home().bundles / check_id(arguments.bundle_id), arguments.file)
            print(arguments.file)
        else:
            print(import_bundle(arguments.file, home()))
    except (BundleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
