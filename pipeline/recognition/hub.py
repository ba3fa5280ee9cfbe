"""What the Hugging Face hub refuses, said with the page to ask for access on and the place of the token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from speech.archives.errors import (
    ArchiveError,
    DamagedArchive,
    NoPermission,
    SourceNotFound,
    SourceUnavailable,
    UnexpectedLayout,
    UnsafeArchive,
)

HUB = "https://huggingface.co"
TOKEN_VARIABLE = "HF_TOKEN"
_SCRIPTS = "Dataset scripts are no longer supported"


def hub_token() -> str | None:
    """The token of the pipeline's environment, if there is one."""
    return os.environ.get(TOKEN_VARIABLE, "").strip() or None


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Within the block what the library says of the dataset `name` becomes an `ArchiveError` that says what to do.

    The library wraps errors in errors, so the innermost that is understood counts. Others pass as they are.
    """
    try:
        yield
    except ArchiveError:
        raise
    except Exception as error:  # of any kind: what is not understood is raised again as it came
        chain: list[BaseException] = [error]
        while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
            chain.append(deeper)
        explained = next((found for one in reversed(chain) if (found := _explained(name, one)) is not None), None)
        if explained is None:
            raise
        raise explained from error


def _explained(name: str, error: BaseException) -> ArchiveError | None:
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
    from pyarrow import ArrowException

    page = f"{HUB}/datasets/{name}"
    if isinstance(error, GatedRepoError):
        return _gated(name, page)
    if isinstance(error, RepositoryNotFoundError):
        return _missing(name, page)
    if isinstance(error, DatasetNotFoundError):
        return _gated(name, page) if "gated" in str(error) else _missing(name, page)
    if isinstance(error, HfHubHTTPError):
        return _refused(name, page, error.response.status_code)
    if isinstance(error, OfflineModeIsEnabled) or _unreachable(error):
        problem = f"the hub cannot be reached ({type(error).__name__})"
        return SourceUnavailable(name, problem, "Check the network, or give a local folder")
    if isinstance(error, RuntimeError) and _SCRIPTS in str(error):
        remedy = "Give a dataset of files: Parquet, or a folder of audio"
        return UnsafeArchive(name, "comes as a program, which is not run", remedy)
    if isinstance(error, DataFilesNotFoundError) or type(error).__name__ == "EmptyDatasetError":
        return UnexpectedLayout(name, "holds no data files", "Give a dataset of Parquet files or a folder of audio")
    if isinstance(error, ArrowException) or (
        isinstance(error, DatasetsError) and not isinstance(error.__cause__, OSError)  # a full disk is not its fault
    ):
        said = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        return DamagedArchive(name, f"cannot be read: {said}", f"Look at its files ({page}, or the folder)")
    return None


def _unreachable(error: BaseException) -> bool:
    """Whether no answer came. By name: the hub's library has changed its HTTP client between its versions."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


def _refused(name: str, page: str, status: int) -> ArchiveError:
    if status in (401, 403):
        return _gated(name, page)
    if status >= 500 or status == 429:
        return SourceUnavailable(name, f"the hub answers {status}", "Try again later")
    return SourceNotFound(name, f"the hub answers {status}", f"Check name and revision at {page}")


def _gated(name: str, page: str) -> NoPermission:
    told = f"the token in {TOKEN_VARIABLE} has no access to it" if hub_token() else f"{TOKEN_VARIABLE} is not set"
    return NoPermission(
        name,
        f"is given only to those who asked for it, and {told}",
        f"Ask for access at {page}, make a token at {HUB}/settings/tokens and put it into {TOKEN_VARIABLE} in the "
        "pipeline's environment",
    )


def _missing(name: str, page: str) -> SourceNotFound:
    return SourceNotFound(
        name,
        "there is no such name on the hub, or it is private",
        f"Check it at {page}; a private one needs a token with access to it in {TOKEN_VARIABLE}",
    )
