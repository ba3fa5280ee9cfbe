"""What Dagster's forms begin with: nothing is missing but the archive. Asked as its pages ask, without a browser."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from deploy.run.parts import LOCATION, dagster_parts
from deploy.run.stack import Stack
from pipeline.archive.settings import NO_SOURCE
from pipeline.recognition.settings import SEED_DATASET
from pipeline.run_config import STAGES, RunConfigError, asr_archive_settings, check
from speech.home import Home
from tests.deploy.conftest import free_addresses
from tests.deploy.dagster_pages import ask

pytestmark = pytest.mark.timeout(600)  # starting Dagster takes 15 s, and minutes on a machine that does more besides

DEFECTS = ["archive", "clips", "transcripts", "markers", "encoder", "heads", "calibration", "evaluation", "bundle"]
RECOGNITION = ["asr_archive", "asr_clips", "recogniser", "asr_evaluation", "asr_bundle"]
EVERYTHING = [*DEFECTS, *RECOGNITION, "scores", "asr_scores"]
HIDDEN = "__ASSET_JOB"  # what Dagster's pages of assets launch
ARCHIVE = "https://example.org/recordings.zip"
# Jobs whose form has a place for the archive, whose form Dagster refuses without one, and that lack nothing.
PLACED = ["train_offline", "train_offline_whisper", "train_defects", "pretrain", "asr_offline"]
REFUSED = ["train", "evaluate"]
LAUNCHED = ["train_smoke", "asr", "asr_smoke", "asr_evaluate"]  # by the button
COMPLETE = [*LAUNCHED, "rollback", "watch"]  # these two have none: no assets are made

FORM = """
query Form($job: String!, $repository: String!, $location: String!, $assets: [AssetKeyInput!]) {
  pipelineOrError(params: {pipelineName: $job, repositoryName: $repository, repositoryLocationName: $location,
    assetSelection: $assets}) { ... on Pipeline { nodeNames presets { runConfigYaml } } ... on Error { message } }
  runConfigSchemaOrError(selector: {pipelineName: $job, repositoryName: $repository,
    repositoryLocationName: $location, assetSelection: $assets}) { ... on RunConfigSchema { rootDefaultYaml } }
}"""
VALID = """
query Valid($pipeline: PipelineSelector!, $config: RunConfigData!) {
  isPipelineConfigValid(pipeline: $pipeline, runConfigData: $config, mode: "default") {
    __typename ... on RunConfigValidationInvalid { errors { message } } ... on Error { message } }
}"""
JOBS = """query Jobs($location: String!, $repository: String!) {
  repositoryOrError(repositorySelector: {repositoryName: $repository, repositoryLocationName: $location}) {
    ... on Repository { jobs { name description } } } }"""


class Forms:
    """Dagster's web server, asked for forms and what it says against them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._place = {"repository": "__repository__", "location": LOCATION}

    def jobs(self) -> dict[str, str]:
        """The jobs' descriptions."""
        found = ask(self._url, JOBS, self._place)["repositoryOrError"]["jobs"]
        return {job["name"]: job["description"] for job in found if not job["name"].startswith("__")}

    def form(self, job: str, assets: Sequence[str] | None) -> dict[str, Any]:
        """What the form holds at first; with `assets`, that of a button on a page of them, else the launchpad's."""
        asked = ask(self._url, FORM, {"job": job, **self._place, "assets": _keys(assets)})
        presets, nodes = asked["pipelineOrError"]["presets"], asked["pipelineOrError"]["nodeNames"]
        text = presets[0]["runConfigYaml"] if presets else asked["runConfigSchemaOrError"]["rootDefaultYaml"]
        form: dict[str, Any] = yaml.safe_load(text) or {}
        if assets is not None:
            form["ops"] = {stage: op for stage, op in form.get("ops", {}).items() if stage in nodes}
        return form

    def problems(self, job: str, assets: Sequence[str] | None, form: Mapping[str, Any]) -> list[str]:
        """What Dagster says against a form before it launches it."""
        place = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION, "pipelineName": job}
        checks = {} if assets is None else {"assetCheckSelection": _checks(assets, watched=job == HIDDEN)}
        pipeline = {**place, "assetSelection": _keys(assets), **checks}
        answer = ask(self._url, VALID, {"pipeline": pipeline, "config": form})["isPipelineConfigValid"]
        if answer["__typename"] == "PipelineConfigValidationValid":
            return []
        return [error["message"] for error in answer["errors"]] if "errors" in answer else [answer["message"]]


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forms]:
    addresses = free_addresses()
    home = Home(tmp_path_factory.mktemp("forms") / "home")
    with Stack(home, addresses, lambda code: dagster_parts(addresses, code), show=False):
        yield Forms(addresses.dagster.url)


def test_every_job_is_one_of_these_and_says_what_it_is_for(forms: Forms) -> None:
    jobs = forms.jobs()
    assert sorted(jobs) == sorted([*PLACED, *REFUSED, *COMPLETE])
    assert all(len(description) > 60 for description in jobs.values())
    for job in (*PLACED, *REFUSED):
        assert "To begin:" in jobs[job]
    for job in sorted({"train_smoke", "asr", "asr_smoke", *PLACED} - {"pretrain"}):
        assert "Settings: `configs/" in jobs[job]
        assert re.search(r"\d GB", jobs[job]), f"{job} says nothing of memory"
        assert re.search(r"minute|not measured", jobs[job]), f"{job} says nothing of time"


@pytest.mark.parametrize("job", REFUSED)
@pytest.mark.parametrize("button", [True, False])
def test_a_job_that_shows_every_setting_lacks_its_archive_alone(
    forms: Forms, data_home: Home, job: str, button: bool
) -> None:
    lacks_the_archive_alone(forms, data_home, job, _assets(job) if button else None)


@pytest.mark.parametrize("assets", [EVERYTHING, DEFECTS, ["archive"], ["archive", "clips", "scores"]])
def test_a_page_of_assets_lacks_the_archive_alone(forms: Forms, data_home: Home, assets: list[str]) -> None:
    lacks_the_archive_alone(forms, data_home, HIDDEN, assets)


@pytest.mark.parametrize("job", PLACED)
@pytest.mark.parametrize("button", [True, False])
def test_a_ready_configuration_has_a_place_for_the_archive(
    forms: Forms, data_home: Home, job: str, button: bool
) -> None:
    assets = _assets(job) if button else None
    form = forms.form(job, assets)
    first = next(stage for stage in form["ops"] if stage.endswith("archive"))
    assert form["ops"][first]["config"]["sources"] == [NO_SOURCE]
    assert forms.problems(job, assets, form) == []
    assert refusal(form, data_home) == [f"ops.{first}.config: sources: name at least one archive"]
    filled = with_archive(form, first)
    assert forms.problems(job, assets, filled) == []
    assert refusal(filled, data_home) == []
    assert words_stay_words(form)


@pytest.mark.parametrize(("job", "button"), [*((job, False) for job in COMPLETE), *((job, True) for job in LAUNCHED)])
def test_what_needs_no_archive_lacks_nothing(forms: Forms, data_home: Home, job: str, button: bool) -> None:
    assets = _assets(job) if button else None
    form = forms.form(job, assets)
    assert forms.problems(job, assets, form) == []
    assert job == "rollback" or refusal(form, data_home) == []


def test_of_both_recipes_the_recogniser_learns_from_the_archive_too(forms: Forms, data_home: Home) -> None:
    filled = with_archive(forms.form(HIDDEN, EVERYTHING), "archive")
    assert asr_archive_settings(check(filled, data_home)).sources == [ARCHIVE]
    alone = {"ops": {"asr_archive": {"config": {}}}}
    assert asr_archive_settings(check(alone, data_home)).model_dump(include={"sources"}) == {"sources": []}
    named = {"ops": {"archive": filled["ops"]["archive"], "asr_archive": {"config": {"dataset": SEED_DATASET}}}}
    assert asr_archive_settings(check(named, data_home)).sources == []
    del filled["ops"]["asr_archive"]
    assert asr_archive_settings(check(filled, data_home)).sources == [ARCHIVE]


@pytest.mark.parametrize("mode", ["disabled", "off", False, "offline"])
def test_tracking_takes_its_word_and_the_earlier_one(forms: Forms, data_home: Home, mode: object) -> None:
    form = with_archive(forms.form("train", None), "archive")
    assert form["resources"]["comet"]["config"]["mode"] == "disabled"
    form["resources"]["comet"]["config"]["mode"] = mode
    assert forms.problems("train", None, form) == []
    assert refusal(form, data_home) == []


def test_a_wrong_word_for_tracking_is_told_before_anything_is_downloaded(forms: Forms, data_home: Home) -> None:
    form = with_archive(forms.form("train", None), "archive")
    form["resources"]["comet"]["config"]["mode"] = "onlin"
    (problem,) = refusal(form, data_home)
    assert problem.startswith("resources.comet.config.mode: ")
    assert "'disabled', 'online' or 'offline'" in problem


def lacks_the_archive_alone(forms: Forms, home: Home, job: str, assets: Sequence[str] | None) -> None:
    form = forms.form(job, assets)
    (problem,) = forms.problems(job, assets, form)
    assert 'Missing required config entry "sources" at path root:ops:archive:config' in problem
    filled = with_archive(form, "archive")
    assert forms.problems(job, assets, filled) == []
    assert refusal(filled, home) == []
    assert set(check(filled, home)) == set(assets or _assets(job)) & set(STAGES)
    assert words_stay_words(form)


def with_archive(form: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """A form with nothing but a source typed in."""
    filled = copy.deepcopy(dict(form))
    filled["ops"][stage]["config"]["sources"] = [ARCHIVE]
    return filled


def refusal(form: Mapping[str, Any], home: Home) -> list[str]:
    """What the check before the download says against a form, a line for each problem, up to its first bracket."""
    try:
        check(form, home)
    except RunConfigError as error:
        return [line.partition(" (")[0] for line in str(error).splitlines()[1:]]
    return []


def words_stay_words(value: Any) -> bool:
    """Whether no text in a form is read as something else once the page has written it anew, without quotes."""
    if isinstance(value, Mapping):
        return all(words_stay_words(part) for part in value.values())
    if isinstance(value, list):
        return all(words_stay_words(part) for part in value)
    return not isinstance(value, str) or yaml.safe_load(value) == value


def _keys(assets: Sequence[str] | None) -> list[dict[str, list[str]]] | None:
    return None if assets is None else [{"path": [name]} for name in assets]


def _checks(assets: Sequence[str], watched: bool) -> list[dict[str, Any]]:
    """The checks of assets that a button would launch with them; `input_drift` is in no job that trains."""
    from pipeline.definitions import defs

    keys = defs.resolve_asset_graph().asset_check_keys
    found = [(key.asset_key.to_user_string(), key.name) for key in keys]
    return [
        {"assetKey": {"path": [asset]}, "name": name}
        for asset, name in found
        if asset in assets and (watched or name != "input_drift")
    ]


def _assets(job: str) -> list[str]:
    """What the job's page would launch."""
    from pipeline.definitions import defs

    layer = defs.resolve_job_def(job).asset_layer
    return [key.to_user_string() for key in layer.selected_asset_keys]
