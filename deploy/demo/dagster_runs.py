"""Runs of Dagster: launched and ended through its web server, read where Dagster itself keeps them.

A launch through the web server goes through the queue and its limits, as the UI does; Dagster's command line would go
round them. Events are read from the instance's storage: `DagsterGraphQLClient` offers a run's status alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from dagster import (
    BoolMetadataValue,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    EventLogEntry,
    FloatMetadataValue,
    IntMetadataValue,
    JsonMetadataValue,
    MetadataValue,
    PathMetadataValue,
    TextMetadataValue,
    UrlMetadataValue,
)
from dagster._core.instance.ref import InstanceRef
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError
from dagster_shared.error import SerializableErrorInfo
from gql import Client, gql
from gql.transport.exceptions import TransportError
from gql.transport.requests import RequestsHTTPTransport
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

Kind = Literal["started", "succeeded", "failed", "skipped", "message", "materialized", "check", "run"]
Value = str | float | int | bool | None
FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
# Metadata with a value to read; tables and pictures are for Dagster's pages.
_SHOWN = (
    *(TextMetadataValue, PathMetadataValue, UrlMetadataValue, JsonMetadataValue),
    *(IntMetadataValue, FloatMetadataValue, BoolMetadataValue),
)
_PAGE = 500  # events read at once
_ANSWER_SECONDS = 60  # as long as a busy machine takes to load the code location
_JOBS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }"
_KINDS: dict[DagsterEventType, Kind] = {
    DagsterEventType.STEP_START: "started",
    DagsterEventType.STEP_SUCCESS: "succeeded",
    DagsterEventType.STEP_FAILURE: "failed",
    DagsterEventType.STEP_SKIPPED: "skipped",
    DagsterEventType.ASSET_MATERIALIZATION: "materialized",
    DagsterEventType.ASSET_CHECK_EVALUATION: "check",
    DagsterEventType.RUN_FAILURE: "run",
    DagsterEventType.RUN_CANCELED: "run",
}


class DagsterError(RuntimeError):
    """Dagster could not be reached, refused, or knows no such run; the message says what it answered."""


@dataclass(frozen=True)
class Event:
    """One entry of a run's log. `at` is in seconds since 1970; `stage` is the step, None for the run itself.

    `metadata` is filled for `materialized`; `passed` for `check`.
    """

    kind: Kind
    stage: str | None
    message: str
    at: float
    metadata: Mapping[str, Value] = field(default_factory=dict)
    passed: bool | None = None


@dataclass(frozen=True)
class Run:
    """How a run stands. A failed one may be retried (`will_retry`, also while that is not decided): by the run
    `retried_as`, once it is known."""

    status: str
    will_retry: bool = False
    retried_as: str | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


class _Direct(RequestsHTTPTransport):
    """To a server on this machine: no proxy of the environment is asked."""

    def connect(self) -> None:
        super().connect()
        if self.session is not None:
            self.session.trust_env = False


class Dagster:
    """Dagster's web server at `url` and its instance in `folder` (DAGSTER_HOME); methods raise `DagsterError`."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self._transport = _Direct(url=f"{url}/graphql", use_json=True, timeout=_ANSWER_SECONDS)
        self._client = DagsterGraphQLClient(url.removeprefix("http://"), transport=self._transport)

    @cached_property
    def _instance(self) -> DagsterInstance:
        # dagster.yaml takes the storage's folder from DAGSTER_HOME, which is set in the launcher's children alone.
        storage = {"sqlite": {"base_dir": str(self._folder)}}
        return DagsterInstance.from_ref(InstanceRef.from_dir(str(self._folder), overrides={"storage": storage}))

    def launch(self, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
        """Put a run of `job` into the queue and return its id. A configuration that does not fit is refused."""
        try:
            return self._client.submit_job_execution(job, run_config=dict(run_config), tags=dict(tags or {}))
        except DagsterGraphQLClientError as error:
            if error.args[0] == "JobNotFoundError":
                there = self._jobs() or "none: the pipeline did not load, and the log of its part says why"
                raise DagsterError(f"there is no job {job}; there are {there}") from error
            raise self._refused(f"job {job} was refused", error) from error

    def terminate(self, run_id: str) -> None:
        """Ask a run to stop; a queued one is canceled at once."""
        try:
            self._client.terminate_run(run_id)
        except DagsterGraphQLClientError as error:
            raise self._refused(f"run {run_id} cannot be stopped", error) from error

    def run(self, run_id: str) -> Run:
        """How a run stands."""
        found = self._run(run_id)
        # Dagster writes the tag a moment after the status.
        will_retry = found.status.value == "FAILURE" and found.tags.get("dagster/will_retry") != "false"
        return Run(found.status.value, will_retry, found.tags.get("dagster/auto_retry_run_id"))

    def stages(self, run_id: str) -> list[str]:
        """The steps that a run consists of, in an order in which they could be done."""
        snapshot = self._run(run_id).execution_plan_snapshot_id
        if snapshot is None:
            return []
        with self._reading():
            steps = self._instance.get_execution_plan_snapshot(snapshot).steps
        needs = {step.key: [key for need in step.inputs for key in need.upstream_step_keys] for step in steps}
        return list(TopologicalSorter(needs).static_order())

    def events(self, run_id: str, cursor: str | None = None) -> tuple[list[Event], str | None]:
        """What the run's log got after `cursor`, in order, and the cursor to go on with."""
        found: list[Event] = []
        more = True
        while more:
            with self._reading():
                page = self._instance.get_records_for_run(run_id, cursor, limit=_PAGE)
            found.extend(event for record in page.records if (event := _event(record.event_log_entry)) is not None)
            cursor, more = page.cursor, page.has_more
        return found, cursor

    def metadata(self, run_id: str) -> dict[str, dict[str, Value]]:
        """Asset name -> metadata of what this run materialised (the last one where there are several)."""
        events, _ = self.events(run_id)
        return {event.message: dict(event.metadata) for event in events if event.kind == "materialized"}

    def failure(self, run_id: str) -> str:
        """Why a run failed, in the words of whoever raised the error; without stack traces."""
        events, _ = self.events(run_id)
        stages = [f"{event.stage}: {event.message}" for event in events if event.kind == "failed"]
        checks = [event.message for event in events if event.kind == "check" and event.passed is False]
        ends = [event.message for event in events if event.kind == "run"]
        return "\n".join(stages + checks) or (ends[-1] if ends else "no reason was recorded")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            raise DagsterError(f"Dagster's runs in {self._folder} cannot be read: {error}") from error

    def _run(self, run_id: str) -> DagsterRun:
        with self._reading():
            found = self._instance.get_run_by_id(run_id)
        if found is None:
            raise DagsterError(f"Dagster in {self._folder} knows no run {run_id}")
        return found

    def _jobs(self) -> str:
        """The names of all jobs but Dagster's own, for a message."""
        try:
            nodes = Client(transport=self._transport).execute(gql(_JOBS))["repositoriesOrError"]["nodes"]
        except (TransportError, RequestException, KeyError) as error:
            return f"some that it does not tell: {error}"
        names = {job["name"] for node in nodes for job in node["jobs"]}
        return ", ".join(sorted(name for name in names if not name.startswith("__")))

    def _refused(self, what: str, error: DagsterGraphQLClientError) -> DagsterError:
        """`error.args` are a kind and what belongs to it, or, where Dagster gave no answer, a sentence alone."""
        if len(error.args) == 1:
            return DagsterError(f"Dagster at {self.url} gave no answer: {error.__cause__ or error}")
        kind, reasons = error.args
        listed = reasons if isinstance(reasons, list) else [{"message": str(reasons or kind)}]
        return DagsterError(f"{what}: {'; '.join(reason['message'].strip() for reason in listed)}")


def _event(entry: EventLogEntry) -> Event | None:
    """An entry as the demonstration shows it; None for those that it does not show."""
    stage, at, event = entry.step_key, entry.timestamp, entry.dagster_event
    if event is None:
        return Event("message", stage, entry.user_message, at)
    kind = _KINDS.get(event.event_type)
    if kind is None:
        return None
    message = event.message or entry.user_message
    if kind == "failed":
        return Event(kind, stage, error_message(event.step_failure_data.error) or message, at)
    if kind == "run":
        failed = event.event_type == DagsterEventType.RUN_FAILURE
        return Event(kind, None, error_message(event.job_failure_data.error if failed else None) or message, at)
    if kind == "materialized":
        made = event.step_materialization_data.materialization
        values = {name: _value(value) for name, value in made.metadata.items() if isinstance(value, _SHOWN)}
        return Event(kind, stage, "/".join(made.asset_key.path), at, values)
    if kind == "check":
        check = event.asset_check_evaluation_data
        text = f"{check.check_name}: {check.description or ('passed' if check.passed else 'failed')}"
        return Event(kind, stage, text, at, passed=check.passed)
    return Event(kind, stage, message, at)


def _value(value: MetadataValue[Any]) -> Value:
    """A metadata entry as a plain value; data as JSON."""
    return json.dumps(value.data) if isinstance(value, JsonMetadataValue) else value.value


def error_message(error: SerializableErrorInfo | None) -> str:
    """The message of the first error of a chain that is not Dagster's own wrapper, without its class's name.

    Not the last one: `raise SourceError("…what to do") from OSError(…)` is written for whoever reads SourceError.
    """
    text = ""
    while error is not None:
        name = error.cls_name or ""
        text = error.message.strip()
        prefix, colon, rest = text.partition(": ")
        if colon and prefix.rpartition(".")[2] == name:
            text = rest.strip()
        if text and not name.startswith("Dagster"):
            break
        error = error.cause
    return text
