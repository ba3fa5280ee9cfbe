"""Recordings of a dataset as bytes or paths. The library's own type asks for torchcodec even so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets import Audio


@dataclass
class Undecoded(Audio):
    """Like `datasets.Audio(decode=False)`, without torchcodec and its FFmpeg; samples without a file are refused."""

    decode: bool = False

    def encode_example(self, value: Any) -> dict[str, Any]:
        """A path, bytes, or both, as they are stored. Raises `TypeError` for anything else."""
        if isinstance(value, str):
            return {"bytes": None, "path": value}
        if isinstance(value, (bytes, bytearray)):
            return {"bytes": bytes(value), "path": None}
        if isinstance(value, dict) and ("bytes" in value or "path" in value):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        raise TypeError(f"{type(value).__name__} is no recording")
