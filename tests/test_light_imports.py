"""What must be read at once loads no torch, which takes seconds and hundreds of megabytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from speech.home import Home
from tests.bundles import write_tiny_bundle
from tests.recognisers import tiny_recogniser, write_tiny_recogniser

ROOT = Path(__file__).resolve().parent.parent
_PROGRAM = """
import sys
from pathlib import Path
from speech.bundles.config import read_config
from speech.bundles.files import read_metrics, read_statistics, verify
from speech.bundles.recogniser import RecogniserConfig
from speech.home import Home
from speech.serving.pointer import publish, read_pointer
home = Home(Path(sys.argv[1]))
defects, recogniser = home.bundles / "tiny", home.bundles / "tiny-asr"
for folder in (defects, recogniser):
    verify(folder)
    assert read_config(folder).id == folder.name
    assert read_metrics(folder)
    read_statistics(folder)
assert isinstance(read_config(recogniser), RecogniserConfig)
publish(home, "tiny")
assert read_pointer(home).current == "tiny"
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_pointer_and_what_a_bundle_says_are_read_without_torch(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    write_tiny_bundle(home, "tiny")
    write_tiny_recogniser(home, "tiny-asr", tiny_recogniser(tmp_path / "recogniser"))
    said = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(home.root)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(said.stdout.split())
    assert "speech" in loaded
    assert loaded & {"torch", "transformers"} == set()


def loaded_by(module: str) -> set[str]:
    """The packages that importing a module loads."""
    program = f"import sys, {module}; print(*(name for name, of in sys.modules.items() if of is not None))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.partition(".")[0] for name in said.stdout.split()}


def test_training_does_not_load_what_only_tracking_needs() -> None:
    loaded = loaded_by("pipeline.training.trainer")
    assert "transformers" in loaded
    assert loaded & {"comet_ml", "streamlit"} == set()


def test_definitions_load_nothing_that_computes() -> None:
    """Dagster's servers load them, and every step in a process of its own."""
    loaded = loaded_by("pipeline.definitions")
    assert "dagster" in loaded
    assert loaded & {"torch", "transformers", "sklearn", "scipy", "pandas"} == set()
