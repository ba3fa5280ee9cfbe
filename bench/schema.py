"""schemathesis on the service's OpenAPI document: whatever it allows, what lies at its bounds, and what it forbids."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.serving import ROOT

# Not held against the service: that recordings made of random bytes are refused (positive_data_acceptance); that keys
# are not asked for from this machine (ignored_auth); that a form's field is text whatever its type was to be, and no
# key is looked at (negative_data_rejection).
EXCLUDED = ("positive_data_acceptance", "ignored_auth", "negative_data_rejection")


def examine(base: str, examples: int, seed: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask every operation of the service at `base`, up to `examples` times each besides what is at bounds.

    The exit status is 0 where all answers were below 500 and as the document has them: status, media type, headers,
    body. The output says what was not. `folder` is where schemathesis may write.
    """
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{base}/api/openapi.json",
        "--seed", str(seed), "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing",
        "--checks", "all", "--exclude-checks", ",".join(EXCLUDED), "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "bench.schema_hooks", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
