"""Asset `asr_archive`: recordings with texts, of archives or of a Hugging Face dataset."""

from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, asset

from pipeline import run_config
from pipeline.archive.local import archive_roots
from pipeline.assets.archive import unpacked
from pipeline.assets.stage import POOL, Stage, result, table
from pipeline.launchpad import AsrArchiveConfig, opened
from pipeline.recognition.datasets import dataset_limits, identify, write_archive
from pipeline.recognition.settings import AsrArchiveSettings, DatasetSettings

VERSION = 3  # raised when equal inputs and settings give another output


@asset(group_name="data", code_version=str(VERSION), config_schema=opened(AsrArchiveConfig), pool=POOL)
def asr_archive(context: AssetExecutionContext) -> MaterializeResult:
    """What the recogniser learns from, in the archive's layout; keyed by its content, a dataset by its revision."""
    stage = Stage(context, "asr_archive")
    settings = run_config.asr_archive_settings(run_config.check(context.run.run_config, stage.home))
    if settings.dataset is None:
        return unpacked(stage, settings)
    return _dataset(stage, settings, settings.dataset)


def _dataset(stage: Stage, settings: AsrArchiveSettings, dataset: DatasetSettings) -> MaterializeResult:
    """The dataset's split as the stage's output, one archive in the folder `0`."""
    origin = identify(dataset, settings.with_roots(archive_roots(stage.home)).roots)
    (name,) = settings.namespaces or [origin.name]
    limits = dataset_limits(settings.unpack_limits)

    def make(folder: Path) -> dict[str, Any]:
        source = write_archive(origin, dataset, folder / "0", stage.home.cache / "datasets", limits, stage.say)
        return {"namespaces": [name], "sources": [source | {"namespace": name}]}

    output = stage.build(VERSION, dataset, {"dataset": origin.digest, "namespace": name}, make)
    return result(output, {"sources": table(output.summary["sources"])})
