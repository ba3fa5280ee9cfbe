"""Drift as the pipeline tells it: from the workers' files to the check in Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import yaml
from dagster import AssetCheckSeverity, DagsterInstance, DefaultScheduleStatus, build_schedule_context

from pipeline.bundling.drift import DriftReport, input_drift, nothing_to_watch
from pipeline.bundling.settings import WatchSettings
from pipeline.definitions import defs
from speech.bundles.defects import BundleConfig, write_bundle
from speech.files import whole_folder
from speech.home import Home
from speech.serving.drift import scales, write_tally
from speech.serving.pointer import publish
from tests.bundles import METRICS, tiny_model, write_tiny_bundle

STATISTICS = {
    "seconds": {"0.05": 1.0, "0.5": 2.0, "0.95": 4.0},
    "level_dbfs": {"0.05": -40.0, "0.5": -25.0, "0.95": -15.0},
}
JUDGED = METRICS | {
    "classes": ["none", "burr", "fricative_g", "stutter"],
    "confusion": (np.eye(4, dtype=int) * 50).tolist(),
}
SETTINGS = WatchSettings()
USUAL = {"seconds": [5.0, 45.0, 45.0, 5.0], "level_dbfs": [5.0, 45.0, 45.0, 5.0], "class": [25.0, 25.0, 25.0, 25.0]}


@pytest.fixture
def served(data_home: Home) -> Home:
    """A data folder whose bundle in service knows what 2,000 training clips were like."""
    folder = write_tiny_bundle(data_home, "template")
    config = BundleConfig.model_validate(read_yaml(folder / "config.yaml") | {"id": "defects-1"})
    with whole_folder(data_home.bundles / "defects-1") as temporary:
        clips = (f"{number:064x}" for number in range(2000))
        write_bundle(temporary, config, tiny_model(), JUDGED, STATISTICS, clips, "# A test bundle\n")
    publish(data_home, "defects-1")
    return data_home


def read_yaml(path: Any) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return value


def counted(home: Home, worker: str, changes: Mapping[str, list[float]], bundle: str = "defects-1") -> None:
    write_tally(home, bundle, worker, 100, USUAL | dict(changes))


def drifted(report: DriftReport) -> list[str]:
    return [one.figure for one in report.figures if one.drifted]


def test_the_usual_is_no_drift(served: Home) -> None:
    counted(served, "a", {})
    report = input_drift(served, SETTINGS)
    assert report.passed
    assert (report.bundle, report.answers, report.workers) == ("defects-1", 100, 1)
    assert {one.figure for one in report.figures} == {"seconds", "level_dbfs", "class"}
    assert all(one.index < 0.01 for one in report.figures)
    assert report.summary == "none of 3 figures drifted; the last 100 answers of defects-1"


def test_workers_add_up_and_what_moved_is_said(served: Home) -> None:
    counted(served, "a", {"level_dbfs": [80.0, 20.0, 0.0, 0.0]})
    counted(served, "b", {"level_dbfs": [60.0, 40.0, 0.0, 0.0]})
    report = input_drift(served, SETTINGS)
    assert not report.passed
    assert drifted(report) == ["level_dbfs"]
    (figure,) = [one for one in report.figures if one.drifted]
    assert figure.answers == 200
    assert figure.moved == "below -40: 5% to 70%; -25 to -15: 45% to 0%"
    assert report.summary.startswith("drifted: level_dbfs; the last 200 answers")
    rows = report.markdown().splitlines()
    assert rows[0].startswith("| figure | verdict | index (PSI) |")
    assert rows[2].startswith("| level_dbfs | drifted | ")
    assert len(rows) == 5


def test_other_classes_than_on_the_test_split_are_drift(served: Home) -> None:
    counted(served, "a", {"class": [97.0, 1.0, 1.0, 1.0]})
    assert drifted(input_drift(served, SETTINGS)) == ["class"]


def test_what_so_few_answers_show_by_chance_is_no_drift(served: Home) -> None:
    """Windows drawn from the reference itself, each smaller than a bound on the index alone could bear."""
    shares = scales(STATISTICS, {})["seconds"].shares
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        counted(served, "a", {"seconds": generator.multinomial(30, shares).astype(float).tolist()})
        alarms += "seconds" in drifted(input_drift(served, SETTINGS))
    assert alarms <= 4


def test_few_answers_tell_nothing(served: Home) -> None:
    write_tally(served, "defects-1", "a", 99, {"seconds": [99.0, 0.0, 0.0, 0.0]})
    report = input_drift(served, SETTINGS)
    assert report.passed
    assert report.summary == "99 answers of defects-1 are too few to tell, at least 100 are needed"
    assert report.markdown() == report.summary


def test_files_of_another_bundle_of_yesterday_and_of_nobody_are_left_out(served: Home) -> None:
    counted(served, "a", {})
    counted(served, "b", {}, bundle="defects-0")
    (served.serving / "drift-c.json").write_text("{")
    report = input_drift(served, SETTINGS)
    assert report.answers == 100
    assert [line.split(":")[0].split("/")[-1].split(" ")[0] for line in report.left_out] == [
        "drift-b.json",
        "drift-c.json",
    ]
    late = input_drift(served, SETTINGS, datetime.now(UTC) + timedelta(hours=25))
    assert late.answers == 0
    assert "drift-a.json: nothing new since" in late.left_out[0]


def test_without_a_bundle_in_service_there_is_nothing_to_tell(data_home: Home) -> None:
    report = input_drift(data_home, SETTINGS)
    assert report.passed
    assert report.bundle is None
    assert "no bundle is in service yet" in report.summary


@pytest.mark.parametrize(("changes", "passed"), [({}, True), ({"seconds": [0.0, 0.0, 0.0, 100.0]}, False)])
def test_the_job_watch_runs_the_check(served: Home, changes: Mapping[str, list[float]], passed: bool) -> None:
    counted(served, "a", changes)
    with DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("watch").execute_in_process(instance=instance)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.asset_key.to_user_string(), check.check_name) == ("bundle", "input_drift")
    assert check.passed is passed
    assert check.severity == AssetCheckSeverity.WARN
    assert check.metadata["answers"].value == 100
    assert "| seconds |" in str(check.metadata["figures"].value)


def test_the_checks_bounds_can_be_set_at_launch(served: Home) -> None:
    counted(served, "a", {"seconds": [0.0, 0.0, 0.0, 100.0]})
    run_config = {"ops": {"bundle_input_drift": {"config": {"max_psi": 50.0}}}}
    with DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("watch").execute_in_process(run_config, instance=instance)
    (check,) = result.get_asset_check_evaluations()
    assert check.passed


def test_a_training_does_not_ask_how_its_bundle_is_doing() -> None:
    assert "bundle_input_drift" not in defs.resolve_job_def("train").graph.node_dict
    assert set(defs.resolve_job_def("watch").graph.node_dict) == {"bundle_input_drift"}


def tick(instance: DagsterInstance) -> tuple[list[Mapping[str, Any]], str | None]:
    """The run configurations that the schedule asks for, and why it skips."""
    with build_schedule_context(instance, repository_def=defs.get_repository_def()) as context:
        data = defs.get_repository_def().get_schedule_def("hourly_watch").evaluate_tick(context)
    return [request.run_config for request in data.run_requests or []], data.skip_message


def test_the_schedule_runs_by_itself_every_hour() -> None:
    schedule = defs.get_repository_def().get_schedule_def("hourly_watch")
    assert schedule.default_status == DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "watch"
    assert schedule.cron_schedule == "7 * * * *"


def test_where_there_is_something_to_watch_the_run_that_is_asked_for_succeeds(served: Home) -> None:
    counted(served, "a", {})
    with DagsterInstance.ephemeral() as instance:
        ((run_config,), skipped) = tick(instance)
        result = defs.resolve_job_def("watch").execute_in_process(dict(run_config), instance=instance)
    assert skipped is None
    assert result.success


def test_nothing_is_launched_while_no_bundle_serves(data_home: Home) -> None:
    with DagsterInstance.ephemeral() as instance:
        assert tick(instance) == (
            [],
            "nothing to compare with: no bundle is in service yet; train one first, or name a bundle",
        )


def test_nothing_is_launched_while_the_service_is_down(served: Home) -> None:
    with DagsterInstance.ephemeral() as instance:
        requests, skipped = tick(instance)
    assert requests == []
    assert skipped == "no answer of defects-1 within the last hour: the service is down, or nobody asks it"


def test_what_was_counted_before_the_last_look_is_not_looked_at_again(served: Home) -> None:
    counted(served, "a", {})
    now = datetime.now(UTC)
    assert nothing_to_watch(served, SETTINGS, now + timedelta(minutes=60)) is None
    assert "within the last hour" in str(nothing_to_watch(served, SETTINGS, now + timedelta(minutes=70)))


def test_too_few_answers_are_not_worth_a_run(served: Home) -> None:
    write_tally(served, "defects-1", "a", 40, USUAL)
    write_tally(served, "defects-1", "b", 59, USUAL)
    assert nothing_to_watch(served, SETTINGS) == "99 answers of defects-1 are too few to tell, at least 100 are needed"
    write_tally(served, "defects-1", "b", 60, USUAL)
    assert nothing_to_watch(served, SETTINGS) is None


def test_a_bundle_whose_files_are_lost_is_a_reason_to_skip(served: Home) -> None:
    counted(served, "a", {})
    (served.bundles / "defects-1" / "statistics.json").unlink()
    assert str(nothing_to_watch(served, SETTINGS)).startswith("nothing to compare with: defects-1 cannot be read")
