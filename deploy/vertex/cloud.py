"""What the pipeline asks of Google Cloud: a bucket for bundles, versions in the Model Registry, an endpoint, a secret.

`connect` decides for all of it whom to talk to: Google, by its client's own transport (gRPC), or, where
`VNYATNO_VERTEX_ENDPOINT` is http://127.0.0.1:PORT, a local stand-in of the REST interface, to which nobody signs in.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import aiplatform

DISPLAY_NAME = "vnyatno-asr"  # of the model and of the endpoint
SECRET = "vnyatno-hf-token"
HEALTH_ROUTE, PREDICT_ROUTE, PORT = "/h", "/predict", 8080  # the service takes them from AIP_*
SERVING_ARGS = ["serve"]  # `deploy.run.launcher serve`: the service alone, with the bundle from AIP_STORAGE_URI
BUNDLES = "vnyatno/bundles"

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECRETS = "https://secretmanager.googleapis.com"
_DEPLOY_SECONDS = 1800.0  # how long the request itself may take; the operation after it is awaited without a limit
_CALL_SECONDS = 60.0


class CloudError(RuntimeError):
    """Google Cloud refused something or lacks it; the message says what, and the remedy."""


@dataclass(frozen=True)
class Place:
    """A project, a region and the bucket (`gs://bucket` or `gs://bucket/prefix`) that bundles go to."""

    project: str
    location: str
    bucket_uri: str

    @property
    def registry_uri(self) -> str:
        """Where the registry of speakers' splits lies between runs."""
        return f"{self.bucket_uri.rstrip('/')}/vnyatno/registry"

    def bundle_uri(self, bundle_id: str) -> str:
        """Where a bundle lies."""
        return f"{self.bucket_uri.rstrip('/')}/{BUNDLES}/{bundle_id}"


@dataclass(frozen=True)
class Machine:
    """What a deployed model runs on. `accelerator` as Vertex names it (`NVIDIA_TESLA_T4`), empty for none."""

    machine_type: str
    accelerator: str = ""
    accelerators: int = 0
    least_replicas: int = 1
    most_replicas: int = 1


def connect(place: Place) -> None:
    """Make the aiplatform client speak for this project and region."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    # The client's REST transport asks for operations below /ui, which Google does not document: gRPC for Google.
    local = _stand_in()
    other = {"api_transport": "rest", "api_endpoint": local, "credentials": AnonymousCredentials()} if local else {}
    aiplatform.init(project=place.project, location=place.location, staging_bucket=place.bucket_uri, **other)


def send(place: Place, folder: Path, uri: str) -> None:
    """Copy a folder's files to `uri`. A bundle's manifest comes last, so that what has one is whole."""
    bucket, prefix = _bucket(place, uri)
    files = sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == "manifest.json"
    )
    for path in files:
        bucket.blob(f"{prefix}/{path.relative_to(folder).as_posix()}").upload_from_filename(str(path))


def fetch(place: Place, uri: str, folder: Path) -> int:
    """Copy what lies below `uri` into `folder`. Returns how many files; raises `CloudError` for names that lead out."""
    bucket, prefix = _bucket(place, uri)
    blobs = list(bucket.client.list_blobs(bucket, prefix=f"{prefix}/"))
    for blob in blobs:
        path = folder / blob.name.removeprefix(f"{prefix}/")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CloudError(f"{uri} holds a name that leads out of its folder: {blob.name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(path))
    return len(blobs)


def upload_bundle(place: Place, folder: Path) -> str:
    """Copy a bundle's folder into the bucket. Returns the URI of the copy."""
    uri = place.bundle_uri(folder.name)
    send(place, folder, uri)
    return uri


def download_bundle(place: Place, uri: str, folder: Path) -> None:
    """Fill `folder` with a bundle from the bucket. Raises `CloudError` where there is none."""
    if not fetch(place, uri, folder):
        raise CloudError(
            f"{uri} holds nothing; it was deleted from the bucket, so there is no bundle to take from there"
        )


def registered() -> aiplatform.Model | None:
    """The model in the registry, at its default version; None before the first one."""
    from google.cloud import aiplatform

    found = aiplatform.Model.list(filter=f'display_name="{DISPLAY_NAME}"')
    return found[0] if found else None


def register(bundle_id: str, uri: str, image: str) -> aiplatform.Model:
    """Add a version to the Model Registry, under the model that is there already, if one is.

    The version's alias and description are the bundle's id. No environment variable is set: the container needs no
    secrets.
    """
    from google.cloud import aiplatform

    parent = registered()
    return aiplatform.Model.upload(
        display_name=DISPLAY_NAME,
        parent_model=parent.resource_name if parent else None,
        version_aliases=[bundle_id],
        version_description=bundle_id,
        artifact_uri=uri,
        serving_container_image_uri=image,
        serving_container_args=SERVING_ARGS,
        serving_container_health_route=HEALTH_ROUTE,
        serving_container_predict_route=PREDICT_ROUTE,
        serving_container_ports=[PORT],
    )


def deploy(model_name: str, machine: Machine) -> aiplatform.Endpoint:
    """Put a version (`projects/…/models/…@3`) into service on the one endpoint, which is made where it is missing.

    The version gets all traffic once it answers. Only then are the versions before it undeployed, as each holds a
    machine. A version that never becomes ready raises, and what served goes on.
    """
    from google.cloud import aiplatform

    model = aiplatform.Model(model_name)
    found = aiplatform.Endpoint.list(filter=f'display_name="{DISPLAY_NAME}"')
    endpoint = found[0] if found else aiplatform.Endpoint.create(display_name=DISPLAY_NAME)
    before = [deployed.id for deployed in endpoint.list_models()]
    endpoint.deploy(
        model,
        deployed_model_display_name=f"{DISPLAY_NAME}-{model.version_id}",
        traffic_percentage=100,
        machine_type=machine.machine_type,
        accelerator_type=machine.accelerator or None,
        accelerator_count=machine.accelerators or None,
        min_replica_count=machine.least_replicas,
        max_replica_count=machine.most_replicas,
        deploy_request_timeout=_DEPLOY_SECONDS,
    )
    for number in before:
        endpoint.undeploy(number)
    return endpoint


def keep_token(project: str, token: str) -> str:
    """Put a Hugging Face token into Secret Manager.

    Returns the name of the version, which says nothing about the token.
    """
    session, parent = _session(), f"{_stand_in() or _SECRETS}/v1/projects/{project}/secrets"
    made = session.post(
        parent, params={"secretId": SECRET}, json={"replication": {"automatic": {}}}, timeout=_CALL_SECONDS
    )
    if made.status_code not in (200, 409):  # 409: it is there already
        raise _refused("making the secret", made)
    data = base64.b64encode(token.encode()).decode()
    added = session.post(f"{parent}/{SECRET}:addVersion", json={"payload": {"data": data}}, timeout=_CALL_SECONDS)
    if added.status_code != 200:
        raise _refused("keeping the token", added)
    return str(added.json()["name"])


def read_token(name: str) -> str:
    """The token that `keep_token` put away under this name."""
    answer = _session().get(f"{_stand_in() or _SECRETS}/v1/{name}:access", timeout=_CALL_SECONDS)
    if answer.status_code != 200:
        raise _refused(
            f"reading {name} (the pipeline's service account needs roles/secretmanager.secretAccessor)", answer
        )
    return base64.b64decode(answer.json()["payload"]["data"]).decode()


def _bucket(place: Place, uri: str) -> tuple[Any, str]:
    from google.cloud.storage import Client

    if not uri.startswith("gs://"):
        raise CloudError(f"{uri} is no address in a bucket (gs://bucket/folder)")
    name, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
    return Client(project=place.project).bucket(name), prefix


def _stand_in() -> str | None:
    """The address of the local stand-in. Raises `CloudError` for any other one: it would be sent the token."""
    address = os.environ.get("VNYATNO_VERTEX_ENDPOINT")
    if address and not address.startswith("http://127.0.0.1:"):
        raise CloudError(
            f"VNYATNO_VERTEX_ENDPOINT is for a stand-in on http://127.0.0.1:PORT, not for {address}; unset it"
        )
    return address or None


def _session() -> AuthorizedSession:
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.transport.requests import AuthorizedSession

    return AuthorizedSession(AnonymousCredentials() if _stand_in() else google.auth.default(scopes=[_SCOPE])[0])


def _refused(what: str, answer: Any) -> CloudError:
    return CloudError(f"Secret Manager refused {what}: {answer.status_code} {answer.text[:300]}")
