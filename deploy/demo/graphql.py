"""A client of Dagster's GraphQL API: launches a job through the queue, follows its run, reads its results.

`launchRun` goes through the queue and its limits as the UI does; Dagster's own command line would go round them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Literal

import requests

from deploy.demo import queries

Kind = Literal["started", "succeeded", "failed", "skipped", "message", "materialized", "check", "run"]
Value = str | float | int | bool | None
FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_PAGE = 500  # events asked for at once
_TIMEOUT = (5.0, 60.0)  # seconds to connect; to answer, as long as a busy machine takes to load the code location
_KINDS: dict[str, Kind] = {
    "ExecutionStepStartEvent": "started",
    "ExecutionStepSuccessEvent": "succeeded",
    "ExecutionStepFailureEvent": "failed",
    "ExecutionStepSkippedEvent": "skipped",
    "LogMessageEvent": "message",
    "MaterializationEvent": "materialized",
    "AssetCheckEvaluationEvent": "check",
}


class DagsterError(RuntimeError):
    """Dagster could not be reached or refused; the message says what it answered."""


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


class Dagster:
    """Dagster's web server at `url`. Every method raises `DagsterError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # the server is on this machine: no proxy

    def launch(self, job: str, run_config: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
        """Put a run of `job` into the queue and return its id. A configuration that does not fit is refused."""
        location, repository = self._find(job)
        selector = {"repositoryLocationName": location, "repositoryName": repository, "jobName": job}
        parameters = {
            "selector": selector,
            "runConfigData": run_config,
            "mode": "default",
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]},
        }
        answer = self._ask(queries.LAUNCH, {"parameters": parameters})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise DagsterError(f"job {job} was refused: {_refusal(answer)}")
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> Run:
        """How a run stands."""
        answer = self._run(queries.RUN, run_id)
        tags = {tag["key"]: tag["value"] for tag in answer["tags"]}
        # Dagster writes the tag a moment after the status.
        will_retry = answer["status"] == "FAILURE" and tags.get("dagster/will_retry") != "false"
        return Run(answer["status"], will_retry, tags.get("dagster/auto_retry_run_id"))

    def stages(self, run_id: str) -> list[str]:
        """The steps that a run consists of, in an order in which they could be done."""
        plan = self._run(queries.PLAN, run_id)["executionPlan"]
        needs = {
            step["key"]: [one["key"] for need in step["inputs"] for one in need["dependsOn"]]
            for step in (plan["steps"] if plan else [])
        }
        return list(TopologicalSorter(needs).static_order())

    def events(self, run_id: str, cursor: str | None = None) -> tuple[list[Event], str | None]:
        """What the run's log got after `cursor`, in order, and the cursor to go on with."""
        found: list[Event] = []
        more = True
        while more:
            variables = {"id": run_id, "cursor": cursor, "limit": _PAGE}
            answer = self._ask(queries.EVENTS, variables)["logsForRun"]
            if answer["__typename"] != "EventConnection":
                raise DagsterError(_refusal(answer))
            found.extend(event for raw in answer["events"] if (event := _event(raw)) is not None)
            cursor, more = answer["cursor"], answer["hasMore"]
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

    def terminate(self, run_id: str) -> None:
        """Ask a run to stop; a queued one is canceled at once."""
        answer = self._ask(queries.TERMINATE, {"id": run_id})["terminateRun"]
        if answer["__typename"] != "TerminateRunSuccess":
            raise DagsterError(_refusal(answer))

    def _run(self, query: str, run_id: str) -> Any:
        answer = self._ask(query, {"id": run_id})["runOrError"]
        if answer["__typename"] != "Run":
            raise DagsterError(_refusal(answer))
        return answer

    def _find(self, job: str) -> tuple[str, str]:
        answer = self._ask(queries.JOBS, {})["workspaceOrError"]
        if answer["__typename"] != "Workspace":
            raise DagsterError(_refusal(answer))
        known: list[str] = []
        for entry in answer["locationEntries"]:
            location = entry["locationOrLoadError"]
            if location is None or location["__typename"] != "RepositoryLocation":
                raise DagsterError(f"Dagster cannot load the pipeline: {_refusal(location or {})}")
            for repository in location["repositories"]:
                names = [entry["name"] for entry in repository["jobs"]]
                if job in names:
                    return location["name"], repository["name"]
                known.extend(name for name in names if not name.startswith("__"))
        raise DagsterError(f"there is no job {job}; there are {', '.join(sorted(known)) or 'none'}")

    def _ask(self, query: str, variables: Mapping[str, Any]) -> Any:
        try:
            response = self._session.post(
                f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=_TIMEOUT
            )
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            raise DagsterError(f"Dagster at {self.url} gave no answer: {error}") from error
        if answer.get("errors"):
            raise DagsterError("; ".join(str(error.get("message")) for error in answer["errors"]))
        return answer["data"]


def _event(raw: Mapping[str, Any]) -> Event | None:
    name = raw["__typename"]
    at = float(raw["timestamp"]) / 1000  # milliseconds, as text
    if name in ("RunFailureEvent", "RunCanceledEvent"):
        return Event("run", None, error_message(raw.get("error")) or raw["message"], at)
    kind = _KINDS.get(name)
    if kind is None:
        return None
    stage = raw.get("stepKey")
    if kind == "failed":
        return Event(kind, stage, error_message(raw.get("error")) or raw["message"], at)
    if kind == "materialized":
        asset = "/".join((raw.get("assetKey") or {}).get("path", ()))
        return Event(kind, stage, asset, at, dict(_values(raw["metadataEntries"])))
    if kind == "check":
        check = raw["evaluation"]
        text = f"{check['checkName']}: {check['description'] or ('passed' if check['success'] else 'failed')}"
        return Event(kind, stage, text, at, passed=check["success"])
    return Event(kind, stage, raw["message"], at)


def _values(entries: list[Mapping[str, Any]]) -> Iterator[tuple[str, Value]]:
    for entry in entries:
        for name in queries.VALUES:
            if name in entry:
                yield entry["label"], entry[name]
                break


def error_message(error: Mapping[str, Any] | None) -> str:
    """The message of the first error of a chain that is not Dagster's own wrapper, without its class's name.

    Not the last one: `raise SourceError("…what to do") from OSError(…)` is written for whoever reads SourceError.
    """
    text = ""
    while error is not None:
        name = error["className"] or ""
        text = error["message"].strip()
        prefix, colon, rest = text.partition(": ")
        if colon and prefix.rpartition(".")[2] == name:
            text = rest.strip()
        if text and not name.startswith("Dagster"):
            break
        error = error.get("cause")
    return text


def _refusal(answer: Mapping[str, Any]) -> str:
    if "errors" in answer:
        return "; ".join(error["message"] for error in answer["errors"])
    return str(answer.get("message") or answer.get("__typename") or "no reason was given").strip()
