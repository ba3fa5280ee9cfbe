"""Asset `archive`: the zipped data, fetched and unpacked."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline import run_config
from pipeline.archive.fetched import Fetched
from pipeline.archive.local import archive_roots
from pipeline.archive.namespaces import companion_names, namespaces
from pipeline.archive.settings import ArchiveSettings
from pipeline.archive.sources import fetch
from pipeline.archive.unpacking import unpack
from pipeline.assets.stage import POOL, Stage, result, table
from pipeline.launchpad import ArchiveConfig, opened

VERSION = 3  # raised when equal inputs and settings give another output
_SHOWN = 20  # ignored entries listed in the UI


@asset(group_name="data", code_version=str(VERSION), config_schema=opened(ArchiveConfig), pool=POOL)
def archive(context: AssetExecutionContext) -> MaterializeResult:
    """The archives of the run, downloaded, checked and unpacked; keyed by their content."""
    stage = Stage(context, "archive")
    return unpacked(stage, run_config.archive_settings(run_config.check(context.run.run_config, stage.home)))


def unpacked(stage: Stage, settings: ArchiveSettings) -> MaterializeResult:
    """The archives that the settings name, as the stage's output, each in a folder `<its number>`, companions
    after the sources."""
    names, beside = namespaces(settings, stage.name), companion_names(settings)
    allowed = settings.with_roots(archive_roots(stage.home))
    wanted = [*settings.sources, *settings.companions]
    fetched = [fetch(source, stage.home.cache / "archives", allowed, stage.say) for source in wanted]

    def make(folder: Path) -> dict[str, Any]:
        sources = []
        for number, (name, one) in enumerate(zip([*names, *beside], fetched, strict=True)):
            unpacked = unpack(one.path, folder / str(number), settings.unpack_limits, stage.say, one.source)
            ignored = [f"{entry.name}: {entry.reason}" for entry in unpacked.ignored[:_SHOWN]]
            sources.append(_row(name, one) | {"files": unpacked.files, "ignored": "; ".join(ignored)})
        return {"namespaces": names, "companions": beside, "sources": sources}

    inputs = {str(number): one.sha256 for number, one in enumerate(fetched)}
    if beside:
        inputs["companions"] = ", ".join(beside)
    output = stage.build(VERSION, settings.model_copy(update={"namespaces": names}), inputs, make)
    return result(output, {"sources": table(output.summary["sources"])})


def _row(name: str, fetched: Fetched) -> dict[str, Any]:
    return {
        "namespace": name,
        "source": fetched.source,
        "megabytes": round(fetched.bytes / 1e6, 1),
        "sha256": fetched.sha256,
    }
