"""What every asset does around its stage: find what it follows, keep what it makes, say what was made."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, DagsterRun, DataVersion, MaterializeResult, MetadataValue, TableRecord

from pipeline.launchpad import Comet
from pipeline.settings import Settings
from pipeline.store import StageOutput, StageStore, require_one_origin
from pipeline.tracking import Tracker, TrackingSettings, start
from speech.home import Home, home

Metadata = dict[str, Any]
POOL = "training"  # of all stages: of the runs that have any, one goes on at a time (dagster.yaml)


class Stage:
    """One asset's run: its place in the store, its log, its run's other outputs."""

    def __init__(self, context: AssetExecutionContext, name: str) -> None:
        self.context, self.name = context, name
        self.home: Home = home()
        self._store = StageStore(self.home)
        self._follows: list[StageOutput] = []

    def say(self, line: str) -> None:
        """A line for the run's log, seen in the UI and in the terminal of `make demo`."""
        self.context.log.info(line)

    def after(self, stage: str) -> StageOutput:
        """The output of an earlier stage: of this run, of the run it retries, else the latest.

        Raises `pipeline.store.OutputsDisagree` where it does not belong to what the stage follows besides.
        """
        output = self._store.recall(self._lineage(), stage)
        self._follows.append(output)
        require_one_origin(self.name, self._follows)
        return output

    def build(
        self,
        version: int,
        settings: Settings,
        inputs: Mapping[str, str],
        make: Callable[[Path], dict[str, Any]],
        *,
        resumable: bool = False,
    ) -> StageOutput:
        """`StageStore.build`, remembered as this run's output."""
        output = self._store.build(
            self.name,
            version,
            settings.for_key(),
            inputs,
            make,
            report=self.say,
            resumable=resumable,
            not_in_key=settings.not_in_key,
        )
        if output.reused:
            self.say(f"{self.name}: nothing changed, the output {output.key} is used again")
        self.remember(output)
        return output

    def remember(self, output: StageOutput) -> None:
        """Note an output as this run's."""
        self._store.remember(self.context.run.run_id, output)

    @contextmanager
    def tracked(self, comet: Comet, settings: Settings) -> Iterator[Tracker]:
        """This stage's part of the run's experiment in Comet ML, where tracking is on."""
        tracking = TrackingSettings(mode=comet.mode, project=comet.project, workspace=comet.workspace)
        folder = self.home.root / "comet" / self.context.run.run_id
        with start(tracking, self.context.run.run_id, self.name, folder, self.say) as tracker:
            tracker.parameters({self.name: settings.model_dump(mode="json")})
            yield tracker

    def _lineage(self) -> list[str]:
        runs: list[str] = []
        run: DagsterRun | None = self.context.run
        while run is not None:
            runs.append(run.run_id)
            run = self.context.instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
        return runs


def result(output: StageOutput, metadata: Metadata, **more: Any) -> MaterializeResult:
    """What an asset answers: its data version is the output's key."""
    shown: Metadata = {"reused": output.reused, "folder": MetadataValue.path(str(output.folder))} | metadata
    return MaterializeResult(metadata=shown, data_version=DataVersion(output.key), **more)


def table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a table in the UI."""
    return MetadataValue.table([TableRecord(dict(row)) for row in rows]) if rows else MetadataValue.text("none")


def picture(png: bytes) -> MetadataValue:
    """A PNG in the UI. It is stored in the event log, so it must be small."""
    return MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
