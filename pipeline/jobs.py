"""The jobs: the training of either recipe, pretraining alone, a bundle's figures on an archive, and the way back."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
from pipeline.bundling.settings import WatchSettings
from pipeline.launchpad import RollbackConfig
from pipeline.ready import read_ready
from speech.bundles.defects import BundleError
from speech.bundles.gate import GateRefused
from speech.home import home
from speech.serving.pointer import PointerError
from speech.serving.pointer import rollback as put_back

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_DATA = ("archive", "clips")
_PRETRAINING = (*_DATA, "transcripts", "markers", "encoder")
_TRAINING = (*_PRETRAINING, "heads", "calibration", "evaluation", "bundle")
_RECOGNITION_DATA = ("asr_archive", "asr_clips")
_RECOGNITION = (*_RECOGNITION_DATA, "recogniser", "asr_evaluation", "asr_bundle")

# A process per step frees a stage's memory when it ends; forking it from one that has imported the libraries saves
# seconds a step. Nothing preloaded touches CUDA.
EXECUTOR = multiprocess_executor.configured(
    {
        "max_concurrent": 1,
        "start_method": {"forkserver": {"preload_modules": ["torch", "transformers", "pipeline.definitions"]}},
    }
)

_PLACE = "**To begin:** put the link or the path of your archive into `sources`, and launch."
_ADD = "**To begin:** add `sources: [the link or the path of your archive]` below `archive: config:`, and launch."
_COMPLETE = "**To begin:** launch it as it is."


def asset_job(
    name: str,
    selection: AssetSelection,
    description: str,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> "UnresolvedAssetJobDefinition":
    """A job over assets. With `config`, a whole run configuration, its form begins with that one."""
    return define_asset_job(
        name,
        selection,
        config=None if config is None else dict(config),
        description=description,
        tags=tags,
        executor_def=EXECUTOR,
    )


def training(
    name: str, stages: Sequence[str], description: str, config: Mapping[str, Any] | None = None
) -> "UnresolvedAssetJobDefinition":
    """A job that trains. It leaves out the check of what a bundle is sent: a new one has answered nothing yet."""
    assets = AssetSelection.assets(*stages) - AssetSelection.checks(input_drift)
    return asset_job(name, assets, description, config)


def ready(name: str, stages: Sequence[str], file: str, about: str = "") -> "UnresolvedAssetJobDefinition":
    """A job that trains by `configs/<file>.yaml`. Only the archive is missing; nothing, where the file has a dataset or
    is the demo's, which brings an archive. `about` stands before what the file says of itself.
    """
    read = read_ready(file).of(stages)
    complete = file.endswith("smoke") or not read.names_archive
    words = (about, read.description, f"Settings: `configs/{file}.yaml`.", _COMPLETE if complete else _PLACE)
    config = (read if complete else read.without_source()).run_config
    return training(name, stages, "\n\n".join(word for word in words if word), config)


train = training(
    "train",
    _TRAINING,
    "The whole way to a model that hears defects, with every setting in the form: archive, clips, transcripts, "
    "markers, encoder, heads, calibration, evaluation, bundle. A model that passes the gate goes into service.\n\n"
    f"Settings at first: `configs/offline.yaml`. The jobs `train_…` have shorter forms.\n\n{_ADD}",
)

train_smoke = ready("train_smoke", _TRAINING, "smoke")
train_offline = ready("train_offline", _TRAINING, "offline")
train_offline_whisper = ready("train_offline_whisper", _TRAINING, "offline-whisper")
train_defects = ready("train_defects", _TRAINING, "defects")

pretrain = ready(PRETRAIN, _PRETRAINING, "pretrain")

evaluate = asset_job(
    "evaluate",
    AssetSelection.assets(*_DATA, "scores"),
    "A bundle's figures on an archive, on the clips that it was not trained on; of the bundle in service unless "
    f"`ops.scores.config.bundle` names another.\n\n{_ADD}",
)

asr = ready(
    "asr",
    _RECOGNITION,
    "asr",
    "The whole way of a speech recogniser: archive or dataset with texts, clips, fine-tuning, word error rate, bundle. "
    "A recogniser that passes the gate goes into service beside the model that hears defects.",
)

asr_smoke = ready("asr_smoke", _RECOGNITION, "asr-smoke")
asr_offline = ready("asr_offline", _RECOGNITION, "asr-offline")

asr_evaluate = asset_job(
    "asr_evaluate",
    AssetSelection.assets(*_RECOGNITION_DATA, "asr_scores"),
    "A recogniser's word error rate on an archive or dataset with texts, on the recordings that it was not trained on.",
    read_ready("asr").of(_RECOGNITION_DATA).run_config,
)

watch = asset_job(
    "watch",
    AssetSelection.checks(input_drift),
    "Whether what the service is sent is still like what its bundle was trained on: the bundle's check input_drift, a "
    "warning where it is not. Runs by itself every hour in which the service answered.",
    {"ops": {"bundle_input_drift": {"config": WatchSettings().model_dump()}}},
)

TRAININGS = (train, train_smoke, train_offline, train_offline_whisper, train_defects, pretrain)
RECOGNISERS = (asr, asr_smoke, asr_offline)


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
