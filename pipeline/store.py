"""Outputs of stages, kept by what made them: inputs, settings and code version.

    VNYATNO_HOME/stages/<stage>/<key>/       a finished output; `stage.json` says what made it
    VNYATNO_HOME/stages/<stage>/.work-<key>/ one being made; kept after a kill where the stage can go on from it
    VNYATNO_HOME/locks/<stage>-<key>         held by the process that makes it
    VNYATNO_HOME/runs/<run id>/<stage>.json  which output a run made or reused

Because the key holds everything that decides the output and nothing else, a rerun finds it, and one changed setting
that matters changes the keys of its stage and of all that follow.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.locks import held
from pipeline.progress import Report
from speech.files import digest_of, read_json, sync_folder, sync_tree, write_json
from speech.home import Home

_KEY_LENGTH = 20  # hex digits: 80 bits, no two of a lifetime's outputs meet
_RECORD = "stage.json"


class MissingOutput(LookupError):
    """A stage that this one follows has no output; the message says which job to run."""


class OutputsDisagree(ValueError):
    """Outputs of different data would be joined; the message says which, and what to run."""


@dataclass(frozen=True)
class StageOutput:
    """A finished output: its folder, its key, the summary its stage left, and whether it stood there already."""

    stage: str
    key: str
    folder: Path
    summary: dict[str, Any]
    reused: bool
    run: str | None = None
    """The run that this output is taken from, where one noted it."""


@dataclass(frozen=True)
class StageStore:
    """The stages' outputs below one data folder."""

    home: Home

    def build(
        self,
        stage: str,
        version: int,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        make: Callable[[Path], dict[str, Any]],
        *,
        report: Report = print,
        resumable: bool = False,
        not_in_key: Set[str] = frozenset(),
    ) -> StageOutput:
        """The output for these inputs and settings, made by `make(folder)` unless it is there.

        Only one process makes an output at a time: a second one waits, which `report` tells, and takes what was made.

        `not_in_key` names settings that are not among `settings`. Older versions held some of them in their keys; an
        output of theirs is found all the same, whatever it was made with in these.

        `make` fills the folder and returns a JSON-able summary. A `resumable` stage finds what an interrupted try left
        in the folder; others start from an empty one. A failure leaves no finished output.
        """
        cause = {"stage": stage, "version": version, "settings": dict(settings), "inputs": dict(inputs)}
        key = digest_of(cause)[:_KEY_LENGTH]
        folder = self.home.stages / stage / key
        if (folder / _RECORD).exists():
            return self.find(stage, key, reused=True)
        if (older := self._of_an_older_key(cause, not_in_key)) is not None:
            return self.find(stage, older, reused=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"{stage}: another process makes this very output; waiting for it"
        # A step may outlive its killed run: the next one waits for it.
        with held(self.home.root / "locks" / f"{stage}-{key}", waiting, report):
            if (folder / _RECORD).exists():
                return self.find(stage, key, reused=True)
            work = folder.with_name(f".work-{key}")
            if work.exists() and not resumable:
                shutil.rmtree(work)
            work.mkdir(exist_ok=True)
            try:
                summary = make(work)
            except BaseException:
                if not resumable:
                    shutil.rmtree(work, ignore_errors=True)
                raise
            write_json(work / _RECORD, cause | {"summary": summary})
            sync_tree(work)
            os.rename(work, folder)
            sync_folder(folder.parent)
        return StageOutput(stage, key, folder, summary, reused=False)

    def find(self, stage: str, key: str, *, reused: bool = True) -> StageOutput:
        """A finished output by its key. Raises `MissingOutput`."""
        folder = self.home.stages / stage / key
        try:
            record = read_json(folder / _RECORD)
        except FileNotFoundError as error:
            raise MissingOutput(f"the output {key} of {stage} is gone; launch the job again from the start") from error
        return StageOutput(stage, key, folder, record["summary"], reused)

    def remember(self, run_id: str, output: StageOutput) -> None:
        """Note that a run has this output."""
        note = {"stage": output.stage, "key": output.key, "run": run_id}
        write_json(self.home.root / "runs" / run_id / f"{output.stage}.json", note)
        write_json(self.home.root / "runs" / "latest" / f"{output.stage}.json", note)

    def recall(self, run_ids: Sequence[str], stage: str) -> StageOutput:
        """The output of `stage` in the first of these runs that has one (a run and those it retries), else the
        latest one. Raises `MissingOutput`."""
        for run_id in (*run_ids, "latest"):
            path = self.home.root / "runs" / run_id / f"{stage}.json"
            if path.exists():
                note = read_json(path)
                return replace(self.find(stage, note["key"]), run=note.get("run"))
        raise MissingOutput(f"there is no output of {stage} yet; launch the whole job, not this asset alone")

    def _of_an_older_key(self, cause: Mapping[str, Any], not_in_key: Set[str]) -> str | None:
        """The key of an output with the same cause but for settings that are no longer in keys; None: there is none."""
        for record in sorted((self.home.stages / cause["stage"]).glob(f"[!.]*/{_RECORD}")):
            before = read_json(record)
            decisive = {name: value for name, value in before["settings"].items() if name not in not_in_key}
            if before | {"settings": decisive} == {**cause, "summary": before["summary"]}:
                return record.parent.name
        return None


def require_one_origin(stage: str, outputs: Sequence[StageOutput]) -> None:
    """Raise `OutputsDisagree` where one of these outputs, which `stage` would join, was made from another one's
    predecessor: from clips, say, that are not those among them."""
    by_stage = {output.stage: output for output in outputs}
    for output in outputs:
        for name, key in read_cause(output)["inputs"].items():
            other = by_stage.get(name)
            if other is not None and other.key != key:
                raise OutputsDisagree(
                    f"{stage}: these outputs do not belong together: {_told(output)} was made from {name} {key}, but "
                    f"{_told(other)} is what stands now. Launch the whole job on the data that you mean, so that one "
                    f"run makes them all. To go on from {output.stage} {output.key}, launch {name} once more with the "
                    f"data and settings of {_run(output)}, then {stage}"
                )


def _told(output: StageOutput) -> str:
    return f"{output.stage} {output.key} ({_run(output)})"


def _run(output: StageOutput) -> str:
    return f"run {output.run}" if output.run else "an earlier run"


def read_cause(output: StageOutput) -> dict[str, Any]:
    """What made an output: `stage`, `version`, `settings`, `inputs`, `summary`."""
    cause: dict[str, Any] = read_json(output.folder / _RECORD)
    return cause
