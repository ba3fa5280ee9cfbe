"""Bundles in service, for people: what each is, how it scored, and how its worker is."""

from __future__ import annotations

import math
from typing import Any, Literal

from api.schemas.predict import (
    DefectClass,
    GateCondition,
    Health,
    Limits,
    ModelCard,
    PrecisionChoice,
    RecipeHealth,
    RecogniserCard,
    RefusedBundle,
)
from api.worker.loader import Loader, Serving
from speech.audio.decode import AudioLimits
from speech.bundles.defects import LoadedBundle, read_gate
from speech.bundles.gate import check
from speech.bundles.recogniser import LoadedRecogniser


def defect_card(loader: Loader[LoadedBundle], serving: Serving[LoadedBundle], limits: AudioLimits) -> ModelCard:
    """The card of a model that hears defects."""
    bundle, config = serving.bundle, serving.bundle.config
    return ModelCard(
        **_common(loader, serving),
        limits=_limits(limits.min_seconds, limits.max_seconds, limits.max_bytes),
        classes=[DefectClass(name=name, names=config.class_names.get(name, {})) for name in config.model.classes],
        exclusive=config.model.exclusive,
        letters=config.model.letters,
        precision=PrecisionChoice(
            name=bundle.precision,
            seconds={name.value: seconds for name, seconds in bundle.measured.items()},
            agreement={name.value: section.model_dump() for name, section in config.precisions.items()},
        ),
    )


def recogniser_card(
    loader: Loader[LoadedRecogniser], serving: Serving[LoadedRecogniser], max_seconds: float, max_bytes: int
) -> RecogniserCard:
    """The card of a speech recogniser."""
    bundle = serving.bundle
    return RecogniserCard(
        **_common(loader, serving),
        limits=_limits(bundle.config.audio.min_seconds, max_seconds, max_bytes),
        vocabulary_size=bundle.recogniser.vocabulary_size,
        frame_seconds=bundle.recogniser.frame_seconds,
    )


def _common(loader: Loader[Any], serving: Serving[Any]) -> dict[str, Any]:
    bundle = serving.bundle
    config = bundle.config
    gate = read_gate(config)
    return {
        "bundle": bundle.id,
        "recipe": config.recipe,
        "language": config.language,
        "created": config.created,
        "published": serving.published,
        "previous": serving.previous,
        "gate": [GateCondition(**vars(condition)) for condition in check(gate, bundle.metrics)],
        "gate_override": gate.override,
        "metrics": finite(bundle.metrics),
        "lineage": finite(config.lineage),
        "refused": refused(loader),
    }


def _limits(min_seconds: float, max_seconds: float, max_bytes: int) -> Limits:
    return Limits(min_seconds=min_seconds, max_seconds=max_seconds, max_upload_bytes=max_bytes, sample_rate=16_000)


def health(defects: Loader[Any], asr: Loader[Any]) -> Health:
    """How this worker is, recipe by recipe."""
    recipes = {loader.recipe.name: _recipe_health(loader) for loader in (defects, asr)}
    status: Literal["ok", "degraded", "no_model"] = "ok"
    if all(each.bundle is None for each in recipes.values()):
        status = "no_model"
    elif any(each.refused for each in recipes.values()):
        status = "degraded"
    mine = recipes[defects.recipe.name]
    return Health(status=status, bundle=mine.bundle, refused=mine.refused, recipes=recipes)


def _recipe_health(loader: Loader[Any]) -> RecipeHealth:
    serving = loader.state.serving
    return RecipeHealth(bundle=serving.bundle.id if serving else None, refused=refused(loader))


def refused(loader: Loader[Any]) -> RefusedBundle | None:
    """What the loader refused last, where that still stands."""
    found = loader.state.refused
    return RefusedBundle(**vars(found)) if found else None


def finite(value: Any) -> Any:
    """Figures as JSON can hold them: what is no finite number becomes null."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
