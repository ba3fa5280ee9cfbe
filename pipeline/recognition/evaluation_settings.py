"""How a recogniser is judged, and its gate."""

from __future__ import annotations

from pydantic import Field

from pipeline.settings import JudgingSettings


class AsrEvaluationSettings(JudgingSettings):
    """How the recogniser is judged on test utterances, and the gate."""

    max_wer: float = Field(
        0.2, ge=0, description="Gate: greatest word error rate on the test split; 0.2 is one word in five."
    )
    max_regression: float = Field(
        0.01, ge=0, description="Gate: how far above that of the bundle in service the word error rate may rise."
    )
    max_regression_risk: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Gate: greatest probability, by a paired bootstrap over test speakers (clips where they are "
        "unknown), of rising further than max_regression. 0.5: as likely as not; 0.05: only what is surely not worse "
        "passes.",
    )
