"""The checkpoints of a training, from which one that was killed goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; those that a kill cut off are removed."""
    whole: dict[int, Path] = {}
    for checkpoint in folder.glob("checkpoint-*"):
        if _is_whole(checkpoint):
            whole[int(checkpoint.name.rpartition("-")[2])] = checkpoint
        else:
            shutil.rmtree(checkpoint)
    return whole[max(whole)] if whole else None


def _is_whole(checkpoint: Path) -> bool:
    """The Trainer writes its state last, so a checkpoint with a readable one is whole."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        with safe_open(checkpoint / "model.safetensors", framework="pt"):
            pass
    except (OSError, ValueError, SafetensorError):
        return False
    return (checkpoint / "optimizer.pt").exists() and (checkpoint / "scheduler.pt").exists()
