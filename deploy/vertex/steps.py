"""What each step of the pipeline does, in plain functions over folders.

The stages are those of Dagster's job `asr`, run in this process with the data folder that the step before handed on:
one set of stages, keys and checks, whoever runs them. The bundle that the Model Registry serves by default stands in
that folder as the one in service, so that the comparison with a champion and the gate are the same, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy.run_config import RunConfigError
from deploy.vertex import cloud
from pipeline.evaluation import METRICS
from pipeline.recognition.report import REPORT
from pipeline.recognition.settings import AsrBundleSettings
from pipeline.run_config import moved_to
from pipeline.store import StageOutput, StageStore
from speech.bundles.defects import check_id
from speech.bundles.gate import check, failed
from speech.files import read_json
from speech.home import Home
from speech.serving.pointer import publish

JOB = "asr"
CLIPS, RECOGNISER, EVALUATION, BUNDLE = "asr_clips", "recogniser", "asr_evaluation", "asr_bundle"
TRAINING = ("asr_archive", CLIPS, RECOGNISER)
HANDED_ON = (CLIPS, RECOGNISER)  # the archive itself is no longer needed
VALID, INVALID = "valid", "invalid"

_SHOWN = ("wer", "cer", "raw_wer", "raw_cer", "validation_wer", "clips", "words", "speakers")


class GateResult(NamedTuple):
    """Whether the gate lets a bundle be deployed: `valid` or `invalid`, and a sentence a condition."""

    outcome: str
    reasons: list[str]


def read_run_config(text: str, num_train_epochs: float | None = None, max_wer: float | None = None) -> dict[str, Any]:
    """A run configuration from its YAML, with the pipeline's own parameters put in.

    The bundle is not published in the step's data folder, since the endpoint is what serves. Raises `RunConfigError`.
    """
    recipe = yaml.safe_load(text)
    if not isinstance(recipe, dict) or not isinstance(recipe.get("ops"), dict):
        raise RunConfigError("the run configuration's top level must hold `ops:`; see configs/asr.yaml")
    given: dict[str, dict[str, Any]] = {BUNDLE: moved_to(BUNDLE, recipe) | {"publish": False}}
    if num_train_epochs is not None:
        given[RECOGNISER] = {"epochs": num_train_epochs}
    if max_wer is not None:
        given[BUNDLE]["max_wer"] = max_wer
    for stage, settings in given.items():
        op = recipe["ops"].get(stage) or {}
        recipe["ops"][stage] = op | {"config": (op.get("config") or {}) | settings}
    return recipe


def train(recipe: Mapping[str, Any], place: cloud.Place, folder: Path) -> None:
    """Fetch and split the data, and train. `folder` becomes the data folder with what the next steps need of it.

    The registry that remembers each speaker's split is taken from the bucket and goes back there, so that a test
    speaker of one run is in no training split of the next.
    """
    with _home() as home:
        cloud.fetch(place, place.registry_uri, home.registry)
        _materialise(TRAINING, recipe, home)
        cloud.send(place, home.registry, place.registry_uri)
        _hand_on(home, HANDED_ON, folder)


def evaluate(recipe: Mapping[str, Any], workspace: Path, place: cloud.Place, folder: Path) -> dict[str, Any]:
    """Judge what `train` left in `workspace`, beside the bundle in service.

    Returns the metrics, which `folder` holds too.
    """
    with _home(workspace) as home:
        _bring_champion(place, home)
        _materialise((EVALUATION,), recipe, home)
        _hand_on(home, (EVALUATION,), folder)
    figures: dict[str, Any] = read_json(_evaluation(folder).folder / METRICS)
    return figures


def validate(recipe: Mapping[str, Any], evaluation: Path) -> GateResult:
    """What the gate says of an evaluation. An override (`override_gate`) makes it valid, and its reasons say so."""
    from pipeline.assets.publishing import Evaluated

    gate = AsrBundleSettings.model_validate(recipe["ops"][BUNDLE]["config"]).gate
    conditions = check(gate, Evaluated.read(_evaluation(evaluation), gate.max_regression).metrics)
    reasons = [
        f"{condition.name} {'passed' if condition.passed else 'FAILED'}: {condition.detail}" for condition in conditions
    ]
    if not failed(conditions):
        return GateResult(VALID, reasons)
    if gate.override:
        return GateResult(VALID, [f"the gate is OVERRIDDEN: {gate.override}", *reasons])
    return GateResult(INVALID, reasons)


def upload(recipe: Mapping[str, Any], workspace: Path, evaluation: Path, place: cloud.Place, serving_image: str) -> str:
    """Make the bundle, copy it to the bucket and register it. Returns the name of the version (`…/models/1@2`).

    Raises `speech.bundles.gate.GateRefused` where the gate refuses the bundle; another version may have gone into
    service since the evaluation. Nothing is uploaded then.
    """
    with _home(workspace, evaluation) as home:
        _bring_champion(place, home)
        run = _materialise((BUNDLE,), recipe, home)
        (made,) = run.asset_materializations_for_node(BUNDLE)
        bundle_id = str(made.metadata["bundle_id"].value)
        uri = cloud.upload_bundle(place, home.bundles / bundle_id)
        return str(cloud.register(bundle_id, uri, serving_image).versioned_resource_name)


def shown(figures: Mapping[str, Any]) -> dict[str, float]:
    """The figures that Vertex AI lists beside a run."""
    return {name: float(figures[name]) for name in _SHOWN if isinstance(figures.get(name), int | float)}


def report(evaluation: Path) -> str:
    """The evaluation's own page, in HTML."""
    return (_evaluation(evaluation).folder / REPORT).read_text(encoding="utf-8")


@contextmanager
def _home(*handed_on: Path) -> Iterator[Home]:
    """A data folder of this step, with what steps before it handed on.

    It is the process's own VNYATNO_HOME in the block, and gone afterwards.
    """
    before = os.environ.get("VNYATNO_HOME")
    with tempfile.TemporaryDirectory(prefix="vnyatno-") as root:
        home = Home(Path(root))
        os.environ["VNYATNO_HOME"] = root
        try:
            for folder in handed_on:
                _take_up(folder, home)
            yield home
        finally:
            if before is None:
                del os.environ["VNYATNO_HOME"]
            else:
                os.environ["VNYATNO_HOME"] = before


def _materialise(stages: Sequence[str], recipe: Mapping[str, Any], home: Home) -> Any:
    """Run stages of the job in this process, after the whole run configuration was looked at."""
    from dagster import AssetKey, DagsterInstance

    from pipeline import run_config
    from pipeline.definitions import defs

    run_config.check(recipe, home)
    config = {**recipe, "ops": {stage: op for stage, op in recipe["ops"].items() if stage in stages}}
    with DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def(JOB).execute_in_process(
            run_config=config, asset_selection=[AssetKey(stage) for stage in stages], instance=instance
        )


def _hand_on(home: Home, stages: Iterable[str], folder: Path) -> None:
    store = StageStore(home)
    for stage in stages:
        output = store.recall((), stage)
        shutil.copytree(output.folder, folder / "stages" / stage / output.key, copy_function=shutil.copyfile)
        note = folder / "runs" / "latest" / f"{stage}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home.root / "runs" / "latest" / note.name, note)


def _take_up(folder: Path, home: Home) -> None:
    """Link what another step handed on into a data folder. Nobody writes into a finished output, so none is copied."""
    for output in folder.glob("stages/*/*"):
        link = home.stages / output.parent.name / output.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(output.resolve())
    shutil.copytree(folder / "runs", home.root / "runs", copy_function=shutil.copyfile, dirs_exist_ok=True)


def _bring_champion(place: cloud.Place, home: Home) -> None:
    """Put the bundle of the registry's default version into service in this data folder, if there is one."""
    cloud.connect(place)
    model = cloud.registered()
    if model is not None and model.uri:
        bundle_id = check_id(model.version_description)  # not by the address: it may be another's copy
        cloud.download_bundle(place, model.uri, home.bundles / bundle_id)
        publish(home, bundle_id, by=f"Vertex AI, {model.versioned_resource_name}")


def _evaluation(folder: Path) -> StageOutput:
    return StageStore(Home(folder)).recall((), EVALUATION)
