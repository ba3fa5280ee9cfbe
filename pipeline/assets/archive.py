"""Asset `archive`: the zipped data, fetched and unpacked."""

import os
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline import run_config
from pipeline.archive.budget import UnpackLimits
from pipeline.archive.drive_links import is_drive_link, parse_drive_link
from pipeline.archive.sources import Fetched, FetchOptions, fetch
from pipeline.archive.unpacking import unpack
from pipeline.assets.stage import Stage, result, table
from pipeline.launchpad import ArchiveConfig
from pipeline.settings import ArchiveSettings
from speech.home import Home

VERSION = 1  # raised when equal inputs and settings give another output
_SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_SHOWN = 20  # ignored entries listed in the UI


@asset(group_name="data", code_version=str(VERSION), config_schema=ArchiveConfig.to_config_schema())
def archive(context: AssetExecutionContext) -> MaterializeResult:
    """The archives of the run, downloaded, checked and unpacked; keyed by their content."""
    stage = Stage(context, "archive")
    settings = run_config.archive_settings(run_config.check(context.run.run_config, stage.home))
    options = fetch_options(settings, stage.home)
    fetched = [fetch(source, stage.home.cache / "archives", options, stage.say) for source in settings.sources]
    names = namespaces(settings)
    limits = UnpackLimits(max_files=settings.max_files, max_bytes=settings.max_unpacked_bytes)

    def make(folder: Path) -> dict[str, Any]:
        sources = []
        for number, (name, one) in enumerate(zip(names, fetched, strict=True)):
            unpacked = unpack(one.path, folder / str(number), limits, stage.say, one.source)
            ignored = [f"{entry.name}: {entry.reason}" for entry in unpacked.ignored[:_SHOWN]]
            sources.append(_row(name, one) | {"files": unpacked.files, "ignored": "; ".join(ignored)})
        return {"namespaces": names, "sources": sources}

    inputs = {str(number): one.sha256 for number, one in enumerate(fetched)}
    output = stage.build(VERSION, settings.model_copy(update={"namespaces": names}), inputs, make)
    return result(output, {"sources": table(output.summary["sources"])})


def fetch_options(settings: ArchiveSettings, home: Home) -> FetchOptions:
    """How the settings say that archives are fetched; local ones below `archive_roots` too."""
    return FetchOptions(
        allowed_roots=(*archive_roots(home), *(Path(root) for root in settings.allowed_roots)),
        allow_private_network=settings.allow_private_network,
        timeout_seconds=settings.timeout_seconds,
        retries=settings.retries,
        max_download_bytes=settings.max_download_bytes,
        refresh=settings.refresh,
    )


def archive_roots(home: Home) -> tuple[Path, ...]:
    """Folders for local archives: VNYATNO_ARCHIVE_ROOTS, or samples/ and VNYATNO_HOME/archives."""
    named = os.environ.get("VNYATNO_ARCHIVE_ROOTS")
    if named:
        return tuple(Path(root) for root in named.split(os.pathsep) if root)
    return (_SAMPLES, home.root / "archives")


def namespaces(settings: ArchiveSettings) -> list[str]:
    """A name per source that keeps its speakers apart from others'."""
    return settings.namespaces or [_name(source) for source in settings.sources]


def _name(source: str) -> str:
    if is_drive_link(source):
        return parse_drive_link(source).id
    return Path(source.split("?")[0].rstrip("/")).stem or source


def _row(name: str, fetched: Fetched) -> dict[str, Any]:
    return {
        "namespace": name,
        "source": fetched.source,
        "megabytes": round(fetched.bytes / 1e6, 1),
        "sha256": fetched.sha256,
    }
