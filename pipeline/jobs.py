"""The jobs: the whole training, pretraining alone, and a bundle's figures on an archive."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job, multiprocess_executor

from pipeline.assets.clips import PRETRAIN
from pipeline.assets.drift import input_drift

_DATA = ("archive", "clips")
_PRETRAINING = (*_DATA, "transcripts", "markers", "encoder")
_TRAINING = (*_PRETRAINING, "heads", "evaluation", "bundle")

# A process per step frees a stage's memory when it ends; forking it from one that has imported the libraries saves
# seconds a step. Nothing preloaded touches CUDA.
EXECUTOR = multiprocess_executor.configured(
    {
        "max_concurrent": 1,
        "start_method": {"forkserver": {"preload_modules": ["torch", "transformers", "pipeline.definitions"]}},
    }
)

train = define_asset_job(
    "train",
    AssetSelection.assets(*_TRAINING) - AssetSelection.checks(input_drift),  # a new bundle has answered nothing yet
    description="The whole way: archive, clips, transcripts, markers, encoder, heads, evaluation, bundle. A model that "
    "passes the gate goes into service.",
    executor_def=EXECUTOR,
)

pretrain = define_asset_job(
    PRETRAIN,
    AssetSelection.assets(*_PRETRAINING),
    description="To the encoder: learns from recordings without labels too.",
    executor_def=EXECUTOR,
)

evaluate = define_asset_job(
    "evaluate",
    AssetSelection.assets(*_DATA, "scores"),
    description="A bundle's figures on an archive, on the clips that it was not trained on.",
    executor_def=EXECUTOR,
)

watch = define_asset_job(
    "watch",
    AssetSelection.checks(input_drift),
    description="Whether what the service is sent is still like what its bundle was trained on: the bundle's check "
    "input_drift, a warning where it is not.",
    executor_def=EXECUTOR,
)
