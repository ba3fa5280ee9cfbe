"""What a bundle of either recipe goes through on its way from a judged model: written whole, proved, or gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speech.bundles.defects import BundleError
from speech.bundles.gate import AnyGate, GateRefused
from speech.files import whole_folder
from speech.home import Home
from speech.serving.pointer import read_pointer


@dataclass(frozen=True)
class BundlePlan:
    """What a bundle is made of, beside the model: its id, run, gate, the keys of the stages it came from, and its
    recipe."""

    id: str
    run: str
    gate: AnyGate
    lineage: Mapping[str, str]
    recipe: str = "defects"


def require_fresh(home: Home, plan: BundlePlan, metrics: Mapping[str, Any]) -> None:
    """Refuse an evaluation that compared with another bundle than the one now in service.

    Without this, materialising the bundle alone after a better one was published would pass the gate by.
    """
    pointer = read_pointer(home, plan.recipe)
    if pointer is None or pointer.current == plan.id:
        return
    judged_beside = (metrics.get("champion") or {}).get("in_service")
    if pointer.current != judged_beside:
        raise GateRefused(
            f"{pointer.current} went into service since the evaluation, which saw {judged_beside or 'none'} there; "
            "launch evaluation and bundle again"
        )


def write_and_prove(home: Home, plan: BundlePlan, write: Callable[[Path], None], prove: Callable[[Path], None]) -> Path:
    """Have `write` fill the bundle's folder and `prove` hold its answers against those that were measured.

    Raises `BundleError` where they differ; then the folder is gone.
    """
    folder = home.bundles / plan.id
    with whole_folder(folder) as temporary:
        write(temporary)
    try:
        prove(folder)
    except BundleError:
        shutil.rmtree(folder)
        raise
    return folder
