"""Ready run configurations: the files in `configs/`, read and never copied.

Each is a job in which nothing but the archive is missing; two of them are also what a form begins with where no job
says otherwise, as on Dagster's page of all assets.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.archive.settings import NO_SOURCE
from pipeline.run_config import STAGES
from speech.home import code_folder

_BEGINNINGS = ("offline", "asr-offline")  # need neither hub nor GPU, so they work wherever a form is opened first


@dataclass(frozen=True)
class Ready:
    """A file of `configs/`: what it is for, as its first comment says, and what it sets.

    `run_config` has the shape of every run configuration: `ops.<stage>.config` and, where the file has it, `resources`.
    """

    description: str
    run_config: dict[str, Any]

    def of(self, stages: Sequence[str]) -> Ready:
        """The same for a job of these stages alone."""
        ops = {stage: op for stage, op in self.run_config["ops"].items() if stage in stages}
        return Ready(self.description, self.run_config | {"ops": ops})

    @property
    def names_archive(self) -> bool:
        """Whether it names archives, be it to show how; not a dataset, nor nothing."""
        return any("sources" in op["config"] for op in self.run_config["ops"].values())

    def without_source(self) -> Ready:
        """The same with a place to put the archive where the file names one of its own."""
        changed = copy.deepcopy(self.run_config)
        for op in changed["ops"].values():
            if "sources" in op["config"]:
                op["config"]["sources"] = [NO_SOURCE]
        return Ready(self.description, changed)


def read_ready(name: str) -> Ready:
    """The file `configs/<name>.yaml`."""
    text = (code_folder() / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    return Ready(_first_comment(text), yaml.safe_load(text))


def beginning(stage: str) -> dict[str, Any]:
    """All settings of a stage as its form shows them at first, JSON-able; what is unset by default is left out."""
    return STAGES[stage].model_validate(_beginnings().get(stage, {})).model_dump(mode="json", exclude_none=True)


def _beginnings() -> Mapping[str, Mapping[str, Any]]:
    ops = [item for name in _BEGINNINGS for item in read_ready(name).run_config["ops"].items()]
    return {stage: op["config"] for stage, op in ops}


def _first_comment(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
