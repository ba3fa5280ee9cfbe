"""What Dagster loads: assets, jobs, resources. Torch is imported inside the assets, not here."""

from __future__ import annotations

from dagster import Definitions

from pipeline.assets.archive import archive
from pipeline.assets.bundle import bundle
from pipeline.assets.clips import clips
from pipeline.assets.drift import input_drift
from pipeline.assets.encoder import encoder
from pipeline.assets.evaluation import evaluation
from pipeline.assets.heads import heads
from pipeline.assets.markers import markers
from pipeline.assets.scores import scores
from pipeline.assets.transcripts import transcripts
from pipeline.jobs import EXECUTOR, evaluate, pretrain, rollback, train, watch
from pipeline.launchpad import Comet

defs = Definitions(
    assets=[archive, clips, transcripts, markers, encoder, heads, evaluation, bundle, scores],
    asset_checks=[input_drift],
    jobs=[train, pretrain, evaluate, rollback, watch],
    resources={"comet": Comet.configure_at_launch()},
    executor=EXECUTOR,
)
