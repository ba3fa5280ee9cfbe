"""Models by name, fetched by Hugging Face's own client from a stand-in for its hub: given, gated, missing, broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from speech.ctc.folder import save_recogniser
from tests.hub_server import READER, hub_server
from tests.recognisers import tiny_recogniser

_LOAD = """
import json, os, sys
from huggingface_hub import constants
from speech.ctc.folder import RecogniserError, load_recogniser
said = []
for name, token, revision, offline in json.loads(sys.argv[1]):
    os.environ.pop("HF_TOKEN", None)
    os.environ |= {"HF_TOKEN": token} if token else {}
    constants.HF_HUB_OFFLINE = offline
    try:
        said.append(load_recogniser(name, revision=revision).text_of([3]))
    except RecogniserError as error:
        said.append(str(error))
print(json.dumps(said))
"""


class Asked(NamedTuple):
    """A model, and how it is asked for; `token` stands in the environment."""

    name: str
    token: str | None = None
    revision: str | None = None
    offline: bool = False


def load(endpoint: str, cache: Path, *asked: Asked) -> list[str]:
    """What a process says that loads models from a hub: the library reads where that is when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", _LOAD, json.dumps(asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said: list[str] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    save_recogniser(tiny_recogniser(tmp_path / "vocabulary"), folder)
    for name in ("pytorch_model.bin", "training_args.bin", "modeling_custom.py", "flax_model.msgpack"):
        (folder / name).write_bytes(b"not to be fetched")
    return folder


def test_models_by_name(model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "vocab.json", "preprocessor_config.json", "pytorch_model.bin"):
        (bare / name).write_bytes((model / name).read_bytes())
    models = {"someone/open": model, "google/medasr": model, "someone/pickled": bare}
    with hub_server(models, gated=("google/medasr",)) as hub:
        said = load(
            hub.endpoint,
            tmp_path / "cache",
            Asked("someone/open"),
            Asked("someone/open", revision="v9"),
            Asked("google/medasr"),
            Asked("google/medasr", token="hf_stranger"),
            Asked("google/medasr", token=READER),
            Asked("someone/none"),
            Asked("someone/pickled"),
            Asked("someone/failing"),
            Asked("no name at all"),
            Asked("someone/open", offline=True),
            Asked("someone/none", offline=True),
        )
    assert said[0] == "а"
    assert said[1] == "https://huggingface.co/someone/open has no revision 'v9'"
    page = "request access on https://huggingface.co/google/medasr, then put an access token of the account that was"
    assert said[2].startswith(f"google/medasr is gated: {page}")
    assert said[2].endswith("into the environment variable HF_TOKEN")
    assert said[3].startswith(
        "google/medasr is gated: the account of the token in HF_TOKEN has no access to it: request"
    )
    assert said[4] == "а"
    assert "there is no model at https://huggingface.co/someone/none, or it is private" in said[5]
    assert said[6] == "someone/pickled: model.safetensors is missing"
    assert said[7].startswith("someone/failing cannot be fetched from https://huggingface.co/someone/failing (")
    assert "500" in said[7]
    assert said[8] == "'no name at all' is neither a folder nor the name of a model (owner/name)"
    assert "model.safetensors" in hub.given
    assert not {name for name in hub.given if name.endswith((".bin", ".py", ".msgpack"))}
    assert said[9] == "а"  # fetched before
    assert said[10].startswith("someone/none cannot be fetched from https://huggingface.co/someone/none (")
    assert "check the network" in said[10]
