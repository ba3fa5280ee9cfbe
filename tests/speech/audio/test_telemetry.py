"""Nothing of what is heard is told to the maker of a library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_onnxruntime_starts_no_telemetry(tmp_path: Path) -> None:
    """It would be seen by a file in the cache, and a thread."""
    code = "import os; from speech.audio.vad import load; load(); print(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "1"
    assert list(tmp_path.iterdir()) == []
