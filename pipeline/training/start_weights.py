"""The weights that a training starts from."""

from __future__ import annotations

from pathlib import Path

from speech.files import digest_of, sha256_file

_WEIGHT_FILES = (".json", ".safetensors", ".bin")


def weights_hash(local: Path) -> str:
    """What tells local weights from others: a digest of the file, or of the folder's configurations and weights."""
    files = [local] if local.is_file() else sorted(p for p in local.glob("*") if p.suffix in _WEIGHT_FILES)
    return digest_of({file.name: sha256_file(file) for file in files})
