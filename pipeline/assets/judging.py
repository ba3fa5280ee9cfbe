"""What the evaluations of both recipes have in common: the champion, the gate's conditions as checks, the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dagster import AssetCheckResult, AssetCheckSpec

from pipeline.assets.stage import Stage
from pipeline.bundling.selection import SERVICE, bundle_id
from pipeline.evaluation.settings import JudgingSettings, ScoreSettings
from pipeline.settings import Device
from speech.bundles.defects import BundleError, read_config
from speech.bundles.gate import Condition
from speech.hardware.devices import choose_device
from speech.home import Home


def champion_of(
    home: Home, settings: JudgingSettings, stage: str, trained: str, recipe: str = "defects"
) -> tuple[Path | None, str]:
    """The folder of the bundle in service to compare with, or None and the reason why none is compared.

    `trained` is the key of the output of `stage`, where the model that is judged was trained.
    """
    if not settings.compare_champion:
        return None, "the comparison is switched off"
    try:
        folder = home.bundles / bundle_id(SERVICE, home, recipe)
        if read_config(folder).lineage.get(stage) == trained:
            return None, f"{folder.name} in service is this very model"
    except BundleError as error:
        return None, f"no bundle to compare with: {error}"
    return folder, ""


def in_service(home: Home, recipe: str = "defects") -> str | None:
    """The bundle that the recipe's pointer names now; None where there is none or the pointer is broken."""
    try:
        return bundle_id(SERVICE, home, recipe)
    except BundleError:
        return None


def check_specs(evaluation: str, bundle: str, names: Sequence[str]) -> list[AssetCheckSpec]:
    """The gate's conditions as checks of the asset `evaluation`. Dagster blocks nothing by them: the asset `bundle`
    looks at the gate itself, since an override may let a model pass."""
    said = f"Of the gate: {bundle} refuses a model that fails here, and the service stays as it is."
    return [AssetCheckSpec(name=name, asset=evaluation, description=said) for name in names]


def checked(stage: Stage, conditions: Sequence[Condition]) -> list[AssetCheckResult]:
    """The gate's conditions as the asset's checks, told in the log too."""
    for condition in conditions:
        stage.say(f"gate: {condition.name} {'passed' if condition.passed else 'FAILED'}: {condition.detail}")
    return [
        AssetCheckResult(passed=c.passed, check_name=c.name, metadata={"detail": c.detail}, description=c.detail)
        for c in conditions
    ]


@contextmanager
def computing_on(settings: JudgingSettings | ScoreSettings) -> Iterator[tuple[str, str]]:
    """The device's name for torch, and in what is computed on it while this lasts."""
    from pipeline.training.hardware import computing

    name = device(settings.device)
    with computing(settings.precision, name) as computed_in:
        yield name, computed_in.value


def device(wanted: Device) -> str:
    """The device's name for torch. Raises `DeviceError` where it cannot be used."""
    return choose_device(wanted.value)
