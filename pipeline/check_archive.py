"""Print the validation report of an archive without training: `python -m pipeline.check_archive --archive ...`.

Exit code 0: usable; 1: not usable, the report says why; 2: the archive or the configuration could not be had.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.archive.local import archive_roots
from pipeline.archive.namespaces import NamespaceError, namespaces
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.sources import fetch
from pipeline.archive.unpacking import unpack
from pipeline.clips.contents import Source
from pipeline.clips.dataset import build_clips
from pipeline.clips.errors import ClipsError
from pipeline.clips.registry import REGISTRY_NAME
from pipeline.clips.report import REPORT_FILES, REPORT_MARKDOWN
from pipeline.clips.settings import ClipSettings
from pipeline.clips.vocabulary import vocabulary
from pipeline.run_config import RunConfigError, archive_settings, check
from speech.archives.errors import ArchiveError
from speech.home import Home, home
from speech.text.language import load_language

USABLE, NOT_USABLE, NOT_READ = 0, 1, 2
_SHOWN = 20  # entries that were left out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args(arguments)
    place = home()
    try:
        archive, clips = read_settings(options.archive, options.config, place)
        with tempfile.TemporaryDirectory(prefix="check-archive-", dir=_made(place.cache)) as work:
            usable = examine(archive, clips, place, Path(work), labels_required=not options.pretraining)
            found = Path(work) / "clips"
            print((found / REPORT_MARKDOWN).read_text(encoding="utf-8"))
            if options.report is not None:
                _keep(found, options.report)
    except (ArchiveError, ClipsError, NamespaceError, RunConfigError) as error:
        print(error, file=sys.stderr)
        return NOT_READ
    return USABLE if usable else NOT_USABLE


def read_settings(archive: str, config: Path | None, place: Home) -> tuple[ArchiveSettings, ClipSettings]:
    """Settings of the stages archive and clips from a run configuration, for this one archive; else the defaults.

    Local archives may also lie below the working folder. Raises `RunConfigError`.
    """
    ops = _ops(config) if config is not None else {}
    wanted = {stage: {"config": dict((ops.get(stage) or {}).get("config") or {})} for stage in ("archive", "clips")}
    fetched: dict[str, Any] = wanted["archive"]["config"]
    if fetched.get("sources") != [archive]:
        fetched.pop("namespaces", None)  # they name the configuration's own sources
    fetched["sources"] = [archive]
    fetched["allowed_roots"] = [*(fetched.get("allowed_roots") or []), str(Path.cwd())]
    parsed = check({"ops": wanted}, place)
    clips = parsed["clips"]
    assert isinstance(clips, ClipSettings)
    return archive_settings(parsed), clips


def examine(archive: ArchiveSettings, clips: ClipSettings, place: Home, work: Path, *, labels_required: bool) -> bool:
    """Fetch, unpack and validate into `work`; whether the archive is usable. The report lies in `work/clips`.

    The speaker registry is read and not changed. Raises `ArchiveError`, or `ClipsError` where there is no report.
    """
    allowed = archive.with_roots(archive_roots(place))
    fetched = fetch(archive.sources[0], place.cache / "archives", allowed, _say)
    unpacked = unpack(fetched.path, work / "archive", archive.unpack_limits, _say, fetched.source)
    for ignored in unpacked.ignored[:_SHOWN]:
        _say(f"left out: {ignored.name!r}: {ignored.reason}")
    out = _made(work / "clips")
    try:
        build_clips(
            [Source(namespaces(archive)[0], work / "archive")],
            out,
            vocabulary=vocabulary(clips, load_language(clips.language)),
            language=clips.language,
            settings=clips,
            registry=place.registry / REGISTRY_NAME,
            labels_required=labels_required,
            progress=lambda done, total, left: _say(f"{done} of {total} files decoded, {left:.0f} s left"),
        )
    except ClipsError:
        if not (out / REPORT_MARKDOWN).exists():
            raise
        return False  # the report holds the error
    return True


def _parser() -> argparse.ArgumentParser:
    description = "Print the validation report of an archive without training."
    parser = argparse.ArgumentParser(prog="python -m pipeline.check_archive", description=description)
    parser.add_argument("--archive", required=True, help="path, http(s) address or Google Drive link of a .zip")
    parser.add_argument("--config", type=Path, help="run configuration (YAML) whose archive and clips settings count")
    parser.add_argument("--pretraining", action="store_true", help="the archive needs no labels")
    parser.add_argument("--report", type=Path, help="folder to which the report, its JSON and its plots are copied")
    return parser


def _ops(config: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        ops = value.get("ops") or {}
        # One look at the shape, so that the fields themselves can be judged by the run configuration's own check.
        if not all(isinstance((ops.get(stage) or {}).get("config") or {}, dict) for stage in ("archive", "clips")):
            raise TypeError
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunConfigError(f"{config} cannot be read: {error}") from error
    except (TypeError, AttributeError) as error:
        raise RunConfigError(f"{config} is no run configuration; settings stand in ops.clips.config") from error
    return dict(ops)


def _keep(found: Path, folder: Path) -> None:
    _made(folder)
    for name in REPORT_FILES:
        if (found / name).exists():
            shutil.copyfile(found / name, folder / name)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
