"""The last step of both recipes: through the gate, into a folder, into service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dagster import DataVersion, MaterializeResult, MetadataValue

from pipeline.assets.stage import Stage
from pipeline.bundling.making import Making, require_fresh
from pipeline.bundling.settings import BundleSettings
from speech.bundles.defects import verify
from speech.bundles.gate import failed, require
from speech.serving.pointer import publish


def put_into_service(
    stage: Stage,
    making: Making,
    metrics: Mapping[str, Any],
    settings: BundleSettings,
    figures: Mapping[str, Any],
    make: Callable[[], object],
    *,
    compared: bool,
) -> MaterializeResult:
    """What an asset answers that makes a bundle by `make` and publishes it. A model that the gate refuses leaves no
    bundle and the service as it was (`speech.bundles.gate.GateRefused`).

    `figures` are shown in the UI; `compared` says whether the evaluation compared with the bundle in service.
    """
    context = stage.context
    for refusal in failed(require(making.gate, metrics)):  # nothing fails here without an override
        context.log.warning(f"gate OVERRIDDEN ({making.gate.override}): {refusal}")
        stage.say(f"bundle: gate OVERRIDDEN ({making.gate.override}): {refusal}")
    if compared:
        require_fresh(stage.home, making, metrics)
    folder = stage.home.bundles / making.id
    reused = folder.exists()
    if reused:
        verify(folder)
        stage.say(f"bundle: {making.id} stands already and is whole")
    else:
        make()
        stage.say(f"bundle: {making.id} is written, loads, and answers as it was measured")
    if settings.publish:
        publish(stage.home, making.id, by=f"Dagster run {context.run.run_id}")
        stage.say(f"bundle: {making.id} is in service")
    return MaterializeResult(
        metadata={
            "bundle_id": making.id,
            "published": settings.publish,
            "reused": reused,
            **figures,
            "folder": MetadataValue.path(str(folder)),
            "card": MetadataValue.md((folder / "README.md").read_text(encoding="utf-8")),
        },
        data_version=DataVersion(making.id),
    )
