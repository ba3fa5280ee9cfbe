"""A model of the Hugging Face hub as a folder on this machine: the files that are read, and no others."""

from __future__ import annotations

import os
from pathlib import Path

from speech.ctc.architecture import RecogniserError
from speech.ctc.processor_files import PROCESSOR_FILES

# No pickle, no code: what is not here is never downloaded.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")


def fetch(name: str, token: str | None = None, revision: str | None = None) -> Path:
    """The folder of a model by its name on the hub (`owner/name`), downloaded unless it was before. `token` is an
    access token; without it HF_TOKEN of the environment counts. Raises `RecogniserError`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"https://huggingface.co/{name}"
    allowed = ["config.json", *WEIGHTS, *PROCESSOR_FILES]
    try:
        return Path(snapshot_download(name, revision=revision, token=token, allow_patterns=allowed))
    except HFValidationError as error:
        raise RecogniserError(f"{name!r} is neither a folder nor the name of a model (owner/name)") from error
    except GatedRepoError as error:
        given = "the account of the token in HF_TOKEN has no access to it: " if _token(token) else ""
        raise RecogniserError(
            f"{name} is gated: {given}request access on {page}, then put an access token of the account that was "
            "granted it (https://huggingface.co/settings/tokens) into the environment variable HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise RecogniserError(f"{page} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        raise RecogniserError(
            f"there is no model at {page}, or it is private; check the name, and for a private one put an access token "
            "into the environment variable HF_TOKEN"
        ) from error
    except Exception as error:  # of the network, the hub's own and the disk's, which have no class in common
        refused = isinstance(error, HfHubHTTPError) and error.response.status_code == 401
        remedy = "the token in HF_TOKEN is not accepted" if refused else "check the network and the disk"
        raise RecogniserError(
            f"{name} cannot be fetched from {page} ({_first_line(error)}); {remedy}, or give the path of a folder that "
            "holds the model"
        ) from error


def _token(token: str | None) -> bool:
    return bool(token or os.environ.get("HF_TOKEN"))


def _first_line(error: BaseException) -> str:
    return (str(error) or repr(error)).strip().splitlines()[0][:300]
