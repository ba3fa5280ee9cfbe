"""An evaluation that did not see the bundle now in service publishes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.bundling.plan import BundlePlan, require_fresh
from speech.bundles.gate import Gate, GateRefused
from speech.home import Home
from speech.serving.pointer import publish
from tests.bundles import write_tiny_bundle

PLAN = BundlePlan("defects-new", "run", Gate(), {})


@pytest.mark.parametrize("saw", [None, "defects-older"])
def test_a_stale_evaluation_is_refused(saw: str | None, data_home: Home) -> None:
    write_tiny_bundle(data_home, "defects-other")
    publish(data_home, "defects-other")
    with pytest.raises(GateRefused, match="defects-other went into service since the evaluation"):
        require_fresh(data_home, PLAN, {"champion": {"bundle": None, "left_out": "none yet", "in_service": saw}})


@pytest.mark.parametrize(
    ("in_service", "saw"), [(None, None), ("defects-other", "defects-other"), ("defects-new", None)]
)
def test_a_fresh_one_passes(in_service: str | None, saw: str | None, data_home: Home) -> None:
    if in_service:
        write_tiny_bundle(data_home, in_service)
        publish(data_home, in_service)
    metrics: dict[str, Any] = {"champion": {"in_service": saw}}
    require_fresh(data_home, PLAN, metrics)
