"""The jobs: the training of either recipe, pretraining alone, a bundle's figures on an archive, and the way back."""

from collections.abc import Iterator

from dagster import (
    AssetSelection,
    Failure,
    Nothing,
    OpExecutionContext,
    Out,
    Output,
    define_asset_job,
    in_process_executor,
    job,
    multiprocess_executor,
    op,
)

from pipeline.assets.clips import PRETRAIN
from pipeline.assets.drift import input_drift
from pipeline.launchpad import RollbackConfig
from speech.bundle import BundleError
from speech.gate import GateRefused
from speech.home import home
from speech.publishing import PointerError
from speech.publishing import rollback as put_back

_DATA = ("archive", "clips")
_PRETRAINING = (*_DATA, "transcripts", "markers", "encoder")
_TRAINING = (*_PRETRAINING, "heads", "evaluation", "bundle")
_RECOGNITION = ("asr_archive", "asr_clips", "recogniser", "asr_evaluation", "asr_bundle")

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

asr_evaluate = define_asset_job(
    "asr_evaluate",
    AssetSelection.assets("asr_archive", "asr_clips", "asr_scores"),
    description="A recogniser's word error rate on an archive or dataset with texts, on the recordings that it was not "
    "trained on.",
    executor_def=EXECUTOR,
)

watch = define_asset_job(
    "watch",
    AssetSelection.checks(input_drift),
    description="Whether what the service is sent is still like what its bundle was trained on: the bundle's check "
    "input_drift, a warning where it is not. Runs by itself every hour in which the service answered.",
    executor_def=EXECUTOR,
)


asr = define_asset_job(
    "asr",
    AssetSelection.assets(*_RECOGNITION),
    description="The whole way of a speech recogniser: archive or dataset with texts, clips, fine-tuning, word error "
    "rate, bundle. A recogniser that passes the gate goes into service beside the model that hears defects.",
    executor_def=EXECUTOR,
)


@op(out=Out(Nothing))
def previous_bundle(context: OpExecutionContext, config: RollbackConfig) -> Iterator[Output[None]]:
    """The bundle that served before goes into service again, after the same checks as at its publication."""
    try:
        pointer = put_back(home(), config.recipe.value, by=f"Dagster run {context.run.run_id}")
    except (PointerError, BundleError, GateRefused) as error:
        raise Failure(f"the service stays as it is: {error}", allow_retries=False) from error
    context.log.info(f"rollback: {pointer.current} is in service, before it was {pointer.previous}")
    yield Output(None, metadata={"bundle_id": pointer.current, "previous": pointer.previous or ""})


@job(
    description="Puts the bundle that served before into service again; once more returns. Without a configuration "
    "that of the speech defects; ops.previous_bundle.config.recipe names another recipe. "
    "Files and gate are checked as at a publication; where they fail, the service stays as it is and the run says why. "
    "It waits for no training.",
    executor_def=in_process_executor,
    # A run whose process was killed after it moved the pointer must not be retried: it would move it back.
    tags={"dagster/max_retries": "0"},
)
def rollback() -> None:
    previous_bundle()
