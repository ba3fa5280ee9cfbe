"""What the Hugging Face hub refuses, said with the page to ask for access on and the place of the token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from speech.archive_errors import NoPermission, SourceNotFound, SourceUnavailable, UnsafeArchive

HUB = "https://huggingface.co"
TOKEN_VARIABLE = "HF_TOKEN"
_SCRIPTS = "Dataset scripts are no longer supported"


def hub_token() -> str | None:
    """The token of the pipeline's environment, if there is one; no file of a home folder is looked into."""
    return os.environ.get(TOKEN_VARIABLE, "").strip() or None


@contextmanager
def hub_errors(kind: str, name: str) -> Iterator[None]:
    """Within the block the hub's errors about `name` are `ArchiveError`s that say what to do.

    `kind` is `datasets`, or nothing for a model: the part of its page's address before its name.
    """
    import httpx
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    page = "/".join(part for part in (HUB, kind, name) if part)
    try:
        yield
    except GatedRepoError as error:
        raise _gated(name, page) from error
    except RepositoryNotFoundError as error:
        raise _missing(name, page) from error
    except DatasetNotFoundError as error:
        raise (_gated(name, page) if "gated" in str(error) else _missing(name, page)) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise _gated(name, page) from error
        if status < 500 and status != 429:
            raise SourceNotFound(name, f"the hub answers {status}", f"Check name and revision at {page}") from error
        raise SourceUnavailable(name, f"the hub answers {status}", "Try again later") from error
    except (httpx.HTTPError, OfflineModeIsEnabled, ConnectionError) as error:
        raise SourceUnavailable(
            name, f"the hub cannot be reached ({type(error).__name__})", "Check the network, or give a local folder"
        ) from error
    except RuntimeError as error:
        if _SCRIPTS not in str(error):
            raise
        raise UnsafeArchive(
            name, "comes as a program, which is not run", "Give a dataset of files: Parquet, or a folder of audio"
        ) from error
    except DatasetsError as error:
        raise SourceUnavailable(name, " ".join(str(error).split()), f"Look at it at {page}") from error


def _gated(name: str, page: str) -> NoPermission:
    told = "the token in HF_TOKEN has no access to it" if hub_token() else f"{TOKEN_VARIABLE} is not set"
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
