"""The settings of bundles: how one is made, watched and taken back."""

from __future__ import annotations

from pydantic import Field

from pipeline.settings import Settings
from speech.home import Recipe


class BundleSettings(Settings):
    """The model folder that a successful run leaves."""

    not_in_key = frozenset({"publish"})  # the bundle is the same, whether it serves or not

    publish: bool = Field(True, description="Put the bundle into service if it passes the gate.")
    max_seconds: float = Field(60.0, gt=0, le=3600, description="Longest recording the service takes, seconds.")
    override_gate: str | None = Field(
        None,
        min_length=10,
        description="Serve the model though the gate refuses it, and why: the reason stands in log, bundle and card.",
    )


class WatchSettings(Settings):
    """When what the service is sent counts as another population."""

    max_psi: float = Field(
        0.25,
        gt=0,
        description="Population stability index from which a figure has drifted; 0.1 is worth a look, 0.25 is much.",
    )
    least_answers: int = Field(100, ge=20, description="Answers, of all workers, below which nothing is told.")
    max_age_hours: float = Field(24.0, gt=0, description="A worker that counted nothing new for so long is left out.")


class RollbackSettings(Settings):
    """Which bundle the `rollback` job puts back."""

    recipe: Recipe = Field(Recipe.defects, description="Whose bundle: the defects' or the recogniser's.")
