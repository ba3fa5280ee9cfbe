"""What the evaluations of both recipes have in common: the champion and the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.bundling.plan import TRAINED
from pipeline.bundling.selection import SERVICE, bundle_id
from pipeline.evaluation.settings import ComputingSettings, JudgingSettings
from pipeline.settings import Device
from speech.bundles.defects import BundleError, read_config
from speech.hardware.devices import choose_device
from speech.home import Home, Recipe


def champion_of(
    home: Home, settings: JudgingSettings, trained: str, recipe: Recipe = Recipe.defects
) -> tuple[Path | None, str]:
    """The folder of the bundle in service to compare with, or None and the reason why none is compared.

    `trained` is the key of the stage's output where the model that is judged was trained.
    """
    if not settings.compare_champion:
        return None, "the comparison is switched off"
    try:
        folder = home.bundles / bundle_id(SERVICE, home, recipe)
        if read_config(folder).lineage.get(TRAINED[recipe]) == trained:
            return None, f"{folder.name} in service is this very model"
    except BundleError as error:
        return None, f"no bundle to compare with: {error}"
    return folder, ""


def in_service(home: Home, recipe: Recipe = Recipe.defects) -> str | None:
    """The bundle that the recipe's pointer names now; None where there is none or the pointer is broken."""
    try:
        return bundle_id(SERVICE, home, recipe)
    except BundleError:
        return None


@contextmanager
def computing_on(settings: ComputingSettings) -> Iterator[tuple[str, str]]:
    """The device's name for torch, and in what is computed on it while this lasts."""
    from pipeline.training.hardware import computing

    name = device(settings.device)
    with computing(settings.precision, name) as computed_in:
        yield name, computed_in.value


def device(wanted: Device) -> str:
    """The device's name for torch. Raises `DeviceError` where it cannot be used."""
    return choose_device(wanted.value)
