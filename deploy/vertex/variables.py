"""The variables of `.env`: read, and every one that is missing or malformed named at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.vertex.cloud import Place

NO_TOKEN = "none"  # what HF_TOKEN holds where model and dataset are open to everybody

_IMAGE = r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?"


class VariablesError(ValueError):
    """`.env` cannot be used; the message has a line for each variable that is wrong."""


@dataclass(frozen=True)
class Variables:
    """What `.env` says. The token is left out where the object is shown."""

    place: Place
    training_image: str
    serving_image: str
    epochs: float
    max_wer: float
    token: str = field(repr=False)  # empty: none is needed


def _number(low: float, high: float) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            return low <= float(text) <= high
        except ValueError:
            return False

    return holds


def _like(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


_RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "HF_TOKEN": (
        _like(rf"{NO_TOKEN}|hf_\w+"),
        f"a token from https://huggingface.co/settings/tokens (hf_…), or `{NO_TOKEN}` where model and dataset are open",
    ),
    "GOOGLE_CLOUD_PROJECT_ID": (_like(r"[a-z][a-z0-9-]{4,28}[a-z0-9]"), "a project's id, such as my-project-1"),
    "GOOGLE_CLOUD_LOCATION": (_like(r"[a-z]+-[a-z]+\d+"), "a region, such as us-central1"),
    "GCS_BUCKET_URI": (_like(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[\w./-]*)?"), "a bucket, as gs://my-bucket"),
    "TRAINING_IMAGE_URI": (
        _like(_IMAGE),
        "the image of deploy/vertex/Dockerfile, as HOST/PROJECT/REPOSITORY/IMAGE:TAG",
    ),
    "SERVING_IMAGE_URI": (_like(_IMAGE), "the image of the project's Dockerfile, as HOST/PROJECT/REPOSITORY/IMAGE:TAG"),
    "NUM_TRAIN_EPOCHS": (_number(0.001, 10_000), "a number of epochs above 0, such as 10"),
    "MAX_WER_DEPLOYMENT": (_number(0, 1), "the greatest word error rate that is deployed, from 0 to 1"),
}


def read_variables(path: Path) -> Variables:
    """The variables of a `.env` file; those that it lacks are taken from the environment. Raises `VariablesError`."""
    from dotenv import dotenv_values

    if not path.is_file():
        raise VariablesError(f"there is no {path}; copy deploy/vertex/.env.example there and fill it in")
    written = dotenv_values(path, interpolate=False)
    return check({name: (written.get(name) or os.environ.get(name) or "").strip() for name in _RULES})


def check(values: Mapping[str, str]) -> Variables:
    """Typed variables. Raises `VariablesError` with a line for each that is wrong; the token's value is not shown."""
    problems = []
    for name, (holds, wanted) in _RULES.items():
        given = values.get(name, "")
        if not given:
            problems.append(f"{name} is missing: {wanted}")
        elif not holds(given):
            shown = "what it holds is none" if name == "HF_TOKEN" else f"not {given!r}"
            problems.append(f"{name} must be {wanted}; {shown}")
    if problems:
        raise VariablesError("\n".join(problems))
    token = values["HF_TOKEN"]
    return Variables(
        Place(values["GOOGLE_CLOUD_PROJECT_ID"], values["GOOGLE_CLOUD_LOCATION"], values["GCS_BUCKET_URI"].rstrip("/")),
        values["TRAINING_IMAGE_URI"],
        values["SERVING_IMAGE_URI"],
        float(values["NUM_TRAIN_EPOCHS"]),
        float(values["MAX_WER_DEPLOYMENT"]),
        "" if token == NO_TOKEN else token,
    )
