"""Where Vnyatno keeps its data, and the environment variables that say so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_CODE = Path(__file__).resolve().parent.parent


class Recipe(StrEnum):
    """What can be trained and served, each with a pointer of its own."""

    defects = "defects"
    asr = "asr"


@dataclass(frozen=True)
class Home:
    """The data folder (`VNYATNO_HOME`). Everything a run writes lies below it."""

    root: Path

    @property
    def bundles(self) -> Path:
        """Immutable model folders, one per bundle id."""
        return self.root / "bundles"

    @property
    def serving(self) -> Path:
        """Pointers: `<recipe>.yaml` names the bundle in service."""
        return self.root / "serving"

    @property
    def stages(self) -> Path:
        """Outputs of the pipeline's stages: `<stage>/<key>/`."""
        return self.root / "stages"

    @property
    def cache(self) -> Path:
        """Downloads and transcripts; may be deleted at any time when nothing runs."""
        return self.root / "cache"

    @property
    def registry(self) -> Path:
        """What must be remembered between runs, the speakers' splits above all."""
        return self.root / "registry"

    @property
    def batches(self) -> Path:
        """Archives of calls that the service judges, and what came of them."""
        return self.root / "batches"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME: run storage, event logs, schedules."""
        return self.root / "dagster"


def home() -> Home:
    """The data folder of this process: `VNYATNO_HOME`, or `./var`; absolute, not created here."""
    return Home(Path(os.environ.get("VNYATNO_HOME") or "var").expanduser().resolve())


def weights_folder() -> Path:
    """Where set-up puts downloaded weights: `VNYATNO_WEIGHTS`, or `weights` beside the code; not created here."""
    return Path(os.environ.get("VNYATNO_WEIGHTS") or _CODE / "weights").expanduser().resolve()


def code_folder() -> Path:
    """Where the code lies, and what ships with it: `configs`, `encoders`, `samples`."""
    return _CODE
