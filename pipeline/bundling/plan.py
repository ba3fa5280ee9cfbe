"""What a bundle of either recipe goes through on its way from a judged model: written whole, proved, or gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speech.bundles.defects import BundleError, read_config
from speech.bundles.gate import AnyGate, GateRefused
from speech.files import whole_folder
from speech.home import Home, Recipe
from speech.serving.pointer import read_pointer

TRAINED = {Recipe.defects: "heads", Recipe.asr: "recogniser"}  # the stage that leaves the recipe's model


@dataclass(frozen=True)
class BundlePlan:
    """What a bundle is made of, beside the model: its id, run, gate, the keys of the stages it came from, and its
    recipe."""

    id: str
    run: str
    gate: AnyGate
    lineage: Mapping[str, str]
    recipe: Recipe = Recipe.defects


def require_fresh(home: Home, plan: BundlePlan, metrics: Mapping[str, Any]) -> None:
    """Refuse an evaluation that compared with another bundle than the one now in service.

    Without this, materialising the bundle alone after a better one was published would pass the gate by.
    """
    pointer = read_pointer(home, plan.recipe)
    if pointer is None or pointer.current == plan.id or _is_this_model(home.bundles / pointer.current, plan):
        return
    judged_beside = (metrics.get("champion") or {}).get("in_service")
    if pointer.current != judged_beside:
        raise GateRefused(
            f"{pointer.current} went into service since the evaluation, which saw {judged_beside or 'none'} there; "
            "launch evaluation and bundle again"
        )


def _is_this_model(folder: Path, plan: BundlePlan) -> bool:
    """Whether the bundle holds the very model of the plan, with another gate or limit: it has nothing to compare."""
    trained = TRAINED[plan.recipe]
    try:
        return read_config(folder).lineage.get(trained) == plan.lineage.get(trained, "")
    except BundleError:
        return False


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
