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
