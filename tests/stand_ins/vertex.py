"""A stand-in for Vertex AI (models, endpoints, pipeline jobs) and Secret Manager that speaks their REST interfaces.

What takes its time there is a long-running operation here as well: the first answer is unfinished, the next one done.
The real clients talk to it where `VNYATNO_VERTEX_ENDPOINT` holds its `url`; `deploy.vertex.cloud` reads that.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.http_stand_in import HttpStandIn

_KINDS = "type.googleapis.com/google.cloud.aiplatform.v1"
# The REST transport of google-cloud-aiplatform 2.7 asks for operations below /ui, not /v1.
_PLACE = re.compile(r"/(?:v1|ui)/(projects/[^/]+/locations/[^/]+)/(.+)")
_NAMED = re.compile(r'display_name="([^"]*)"')


class Vertex(HttpStandIn):
    """`models` maps an id to its versions, the newest last; `endpoints`, `jobs` and `secrets` hold what was made.

    `requests` lists method and path of all that was asked. `failing` names a method (`deployModel`) whose operation
    shall end in an error.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models: dict[str, list[dict[str, Any]]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, list[str]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.failing: set[str] = set()

    @property
    def url(self) -> str:
        """What `VNYATNO_VERTEX_ENDPOINT` must hold."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, method: str) -> int:
        """How often a method such as `models:upload` or `:deployModel` was called."""
        return sum(asked.endswith(method) for asked in self.requests)


class _Missing(LookupError):
    """Nothing has the name that was asked for."""


class _Handler(BaseHTTPRequestHandler):
    server: Vertex
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, body: dict[str, Any]) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.server.requests.append(f"{self.command} {path}")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        status = 200
        try:
            value = self._secret(path, body, query) if "/secrets" in path else self._vertex(path, body, query)
        except _Missing as error:
            status, value = 404, {"error": {"code": 404, "message": f"{error} not found", "status": "NOT_FOUND"}}
        except FileExistsError as error:
            status, value = 409, {"error": {"code": 409, "message": str(error), "status": "ALREADY_EXISTS"}}
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    # ---- Vertex AI

    def _vertex(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        found = _PLACE.fullmatch(path)
        if found is None:
            raise _Missing(path)
        place, rest = found[1], found[2]
        collection, _, name = rest.partition("/")
        if "operations/" in rest:
            return self._operation(rest.rpartition("/")[2])
        if self.command == "POST":
            return self._change(place, rest, body, query)
        if not name:
            return {collection: self._named(self._all(collection), query.get("filter", ""))}
        return self._find(collection, name)

    def _change(self, place: str, rest: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        if rest == "models:upload":
            return self._upload(place, body)
        if rest == "endpoints":
            name = f"{place}/endpoints/{len(self.server.endpoints) + 1000}"
            self.server.endpoints[name.rpartition("/")[2]] = body | {"name": name, "deployedModels": []}
            return self._begun(name, "createEndpoint", {"@type": f"{_KINDS}.Endpoint", "name": name})
        if rest == "pipelineJobs":
            name = f"{place}/pipelineJobs/{query['pipelineJobId']}"
            self.server.jobs[query["pipelineJobId"]] = body | {"name": name, "state": "PIPELINE_STATE_PENDING"}
            return self.server.jobs[query["pipelineJobId"]]
        name, _, method = rest.removeprefix("endpoints/").partition(":")
        endpoint = self._find("endpoints", name)
        if method == "deployModel":
            return self._deploy(endpoint, body)
        if method == "undeployModel":
            gone = body["deployedModelId"]
            if endpoint["trafficSplit"].get(gone):
                raise FileExistsError(f"deployed model {gone} still has traffic")
            endpoint["deployedModels"] = [one for one in endpoint["deployedModels"] if one["id"] != gone]
            endpoint["trafficSplit"].pop(gone, None)
            return self._begun(endpoint["name"], method, {"@type": f"{_KINDS}.UndeployModelResponse"})
        raise _Missing(rest)

    def _upload(self, place: str, body: dict[str, Any]) -> dict[str, Any]:
        parent = body.get("parentModel", "").rpartition("/")[2] or str(len(self.server.models) + 1)
        if body.get("parentModel") and parent not in self.server.models:
            raise _Missing(body["parentModel"])
        versions = self.server.models.setdefault(parent, [])
        number = str(len(versions) + 1)
        about = {
            "name": f"{place}/models/{parent}",
            "versionId": number,
            "supportedDeploymentResourcesTypes": ["DEDICATED_RESOURCES"],
            "createTime": "2026-01-01T00:00:00Z",
        }
        for version in versions:  # an alias is one version's alone
            version["versionAliases"] = [
                a for a in version["versionAliases"] if a not in body["model"]["versionAliases"]
            ]
        versions.append(body["model"] | about)
        response = {"@type": f"{_KINDS}.UploadModelResponse", "model": about["name"], "modelVersionId": number}
        return self._begun(about["name"], "models:upload", response)

    def _deploy(self, endpoint: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        number = str(len(self.server.operations) + 7000)
        if "deployModel" not in self.server.failing:
            endpoint["deployedModels"].append(body["deployedModel"] | {"id": number})
            split = body["trafficSplit"]  # "0" means the model that is being deployed
            endpoint["trafficSplit"] = {number if key == "0" else key: share for key, share in split.items()}
        response = {"@type": f"{_KINDS}.DeployModelResponse", "deployedModel": {"id": number}}
        return self._begun(endpoint["name"], "deployModel", response)

    def _begun(self, owner: str, method: str, response: dict[str, Any]) -> dict[str, Any]:
        number = str(len(self.server.operations) + 1)
        name = f"{owner}/operations/{number}"
        ended: dict[str, Any] = {"response": response}
        if method in self.server.failing:
            ended = {"error": {"code": 9, "message": "Model server never became ready"}}
        self.server.operations[number] = {"name": name, "done": True} | ended
        return {"name": name, "done": False}

    def _operation(self, number: str) -> dict[str, Any]:
        if number not in self.server.operations:
            raise _Missing(f"operation {number}")
        return self.server.operations[number]

    def _all(self, collection: str) -> list[dict[str, Any]]:
        if collection == "models":
            return [versions[-1] for versions in self.server.models.values()]
        if collection == "endpoints":
            return list(self.server.endpoints.values())
        raise _Missing(collection)

    @staticmethod
    def _named(values: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
        found = _NAMED.search(wanted)
        assert found is not None, f"the stand-in knows no filter but display_name, and was asked for {wanted!r}"
        return [value for value in values if value["displayName"] == found[1]]

    def _find(self, collection: str, name: str) -> dict[str, Any]:
        name, _, version = name.partition("@")
        if collection == "models" and name in self.server.models:
            versions = self.server.models[name]
            return versions[int(version) - 1] if version.isdigit() else versions[-1]
        if collection == "endpoints" and name in self.server.endpoints:
            return self.server.endpoints[name]
        if collection == "pipelineJobs" and name in self.server.jobs:
            return self.server.jobs[name]
        raise _Missing(f"{collection}/{name}")

    # ---- Secret Manager

    def _secret(self, path: str, body: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        if "secretId" in query:
            if query["secretId"] in self.server.secrets:
                raise FileExistsError(f"secret {query['secretId']} exists")
            self.server.secrets[query["secretId"]] = []
            return {"name": f"{path.removeprefix('/v1/')}/{query['secretId']}"}
        owner, _, rest = path.removeprefix("/v1/").partition("/secrets/")
        name = re.split("[:/]", rest)[0]
        if name not in self.server.secrets:
            raise _Missing(f"secret {name}")
        held = self.server.secrets[name]
        if rest.endswith(":addVersion"):
            held.append(base64.b64decode(body["payload"]["data"]).decode())
            return {"name": f"{owner}/secrets/{name}/versions/{len(held)}"}
        found = re.fullmatch(r"[^/]+/versions/(\d+|latest):access", rest)
        if found is None or not held:
            raise _Missing(rest)
        number = len(held) if found[1] == "latest" else int(found[1])
        payload = base64.b64encode(held[number - 1].encode()).decode()
        return {"name": f"{owner}/secrets/{name}/versions/{number}", "payload": {"data": payload}}


@contextmanager
def running() -> Iterator[Vertex]:
    """A stand-in that answers while the block runs."""
    server = Vertex()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    """A stand-in that the real clients talk to, here and in processes that the test starts."""
    with running() as server:
        monkeypatch.setenv("VNYATNO_VERTEX_ENDPOINT", server.url)
        yield server
