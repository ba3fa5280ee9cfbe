"""Which runs wait for each other: those with a stage in them, whatever job or button they come from."""

from __future__ import annotations

import pytest
from dagster import JobDefinition

from deploy.run.interrupted_runs import POOL as LIMITED
from pipeline.assets.stage import POOL
from pipeline.definitions import defs

LIGHT = ("previous_bundle", "bundle_input_drift")  # move a pointer, and add up some small files


@pytest.mark.parametrize("job", defs.get_repository_def().get_all_jobs(), ids=lambda job: job.name)
def test_every_stage_is_in_the_pool_and_nothing_else_is(job: JobDefinition) -> None:
    assert LIMITED == POOL
    pools = {node.name: node.definition.pool for node in job.graph.nodes}
    assert pools == {name: None if name in LIGHT else POOL for name in pools}
