"""What Dagster loads: assets, jobs, the schedule, resources. Torch is imported inside the assets, not here."""

from __future__ import annotations

from dagster import Definitions

from pipeline.assets.archive import archive
from pipeline.assets.asr_archive import asr_archive
from pipeline.assets.asr_bundle import asr_bundle
from pipeline.assets.asr_clips import asr_clips
from pipeline.assets.asr_evaluation import asr_evaluation
from pipeline.assets.asr_scores import asr_scores
from pipeline.assets.bundle import bundle
from pipeline.assets.calibration import calibration
from pipeline.assets.clips import clips
from pipeline.assets.drift import hourly_watch, input_drift
from pipeline.assets.encoder import encoder
from pipeline.assets.evaluation import evaluation
from pipeline.assets.heads import heads
from pipeline.assets.markers import markers
from pipeline.assets.recogniser import recogniser
from pipeline.assets.scores import scores
from pipeline.assets.transcripts import transcripts
from pipeline.jobs import EXECUTOR, RECOGNISERS, TRAININGS, asr_evaluate, evaluate, rollback, watch
from pipeline.launchpad import Comet

DEFECTS = (archive, clips, transcripts, markers, encoder, heads, calibration, evaluation, bundle, scores)
RECOGNITION = (asr_archive, asr_clips, recogniser, asr_evaluation, asr_bundle, asr_scores)

defs = Definitions(
    assets=[*DEFECTS, *RECOGNITION],
    asset_checks=[input_drift],
    jobs=[*TRAININGS, evaluate, *RECOGNISERS, asr_evaluate, rollback, watch],
    schedules=[hourly_watch],
    resources={"comet": Comet.configure_at_launch()},
    executor=EXECUTOR,
)
