"""The last step of both recipes: through the gate, into a folder, into service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster import AssetCheckResult, AssetCheckSpec, DataVersion, MaterializeResult, MetadataValue

from pipeline.assets.stage import Stage
from pipeline.bundling.plan import BundlePlan, require_fresh
from pipeline.bundling.settings import BundleSettings
from pipeline.evaluation import ANSWERS, METRICS, WORSE_BY
from pipeline.store import StageOutput, read_cause
from speech.bundles.defects import verify
from speech.bundles.gate import Condition, check, failed, require
from speech.files import digest_of, read_json
from speech.serving.pointer import publish


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left: its metrics, each clip's answer, and whether it compared with the bundle in service."""

    metrics: dict[str, Any]
    answers: list[dict[str, Any]]
    compared: bool

    @classmethod
    def read(cls, evaluated: StageOutput, margin: float) -> Evaluated:
        """Of the evaluation's output; `margin` is how much worse than the champion the gate lets a model be."""
        from pipeline.evaluation.bootstrap import with_risk  # it loads scikit-learn, which no definition needs

        metrics = read_json(evaluated.folder / METRICS)
        metrics["champion"] = with_risk(metrics["champion"], read_json(evaluated.folder / WORSE_BY), margin)
        compared = read_cause(evaluated)["settings"]["compare_champion"]
        return cls(metrics, read_json(evaluated.folder / ANSWERS), compared)


def identity_of(version: int, keys: Mapping[str, str], settings: BundleSettings) -> str:
    """What tells one bundle of a recipe from others: what it was made of and by."""
    return digest_of([version, keys, settings.for_key()])[:12]


def check_specs(bundle: str, names: Sequence[str]) -> list[AssetCheckSpec]:
    """The gate's conditions as checks of the asset `bundle`. Dagster blocks nothing by them: the asset looks at the
    gate itself, since an override may let a model pass."""
    said = f"Of the gate: {bundle} refuses a model that fails here, and the service stays as it is."
    return [AssetCheckSpec(name=name, asset=bundle, description=said) for name in names]


def checked(stage: Stage, conditions: Sequence[Condition]) -> Iterator[AssetCheckResult]:
    """The gate's conditions as the asset's checks, told in the log too."""
    for condition in conditions:
        stage.say(f"gate: {condition.name} {'passed' if condition.passed else 'FAILED'}: {condition.detail}")
        yield AssetCheckResult(
            passed=condition.passed,
            check_name=condition.name,
            metadata={"detail": condition.detail},
            description=condition.detail,
        )


def put_into_service(
    stage: Stage,
    plan: BundlePlan,
    found: Evaluated,
    settings: BundleSettings,
    shown: Mapping[str, Any],
    make: Callable[[], object],
) -> Iterator[AssetCheckResult | MaterializeResult]:
    """What an asset answers that makes a bundle by `make` and publishes it: the gate's conditions as checks, then the
    bundle. A model that the gate refuses leaves no bundle and the service as it was
    (`speech.bundles.gate.GateRefused`). `shown` stands in the UI.
    """
    context = stage.context
    yield from checked(stage, check(plan.gate, found.metrics))
    for refusal in failed(require(plan.gate, found.metrics)):  # nothing fails here without an override
        context.log.warning(f"gate OVERRIDDEN ({plan.gate.override}): {refusal}")
        stage.say(f"bundle: gate OVERRIDDEN ({plan.gate.override}): {refusal}")
    if found.compared:
        require_fresh(stage.home, plan, found.metrics)
    folder = stage.home.bundles / plan.id
    reused = folder.exists()
    if reused:
        verify(folder)
        stage.say(f"bundle: {plan.id} stands already and is whole")
    else:
        make()
        stage.say(f"bundle: {plan.id} is written, loads, and answers as it was measured")
    if settings.publish:
        publish(stage.home, plan.id, by=f"Dagster run {context.run.run_id}")
        stage.say(f"bundle: {plan.id} is in service")
    yield MaterializeResult(
        metadata={
            "bundle_id": plan.id,
            "published": settings.publish,
            "reused": reused,
            **shown,
            "folder": MetadataValue.path(str(folder)),
            "card": MetadataValue.md((folder / "README.md").read_text(encoding="utf-8")),
        },
        data_version=DataVersion(plan.id),
    )
