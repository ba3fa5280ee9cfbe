"""What a cell of a dataset holds of a recording: its bytes, samples, or the name of one of the dataset's files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import soundfile

from tabular.recordings import AUDIO_EXTENSIONS

AUDIO_COLUMNS = ("audio", "path", "audio_filepath", "audio_path", "file_name", "file", "filename", "recording", "sound")
"""Names that columns with recordings go by, besides extensions of sound (webdataset)."""
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_text", "txt", "json")
_MAGIC = ((b"RIFF", "wav"), (b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"\xff\xfb", "mp3"))

Read = Callable[[str], bytes | None]
"""The bytes of one of the dataset's files by the name that a row gives it; None where it has no such file."""


def sound_of(cell: Any, read: Read) -> bytes | None:
    """A recording as it was uploaded, samples as a wav; None where the dataset does not hold it."""
    if isinstance(cell, bytes | bytearray):
        return bytes(cell)
    if isinstance(cell, Mapping):
        if cell.get("bytes") is not None:
            return bytes(cell["bytes"])
        if cell.get("array") is not None and cell.get("sampling_rate"):
            return _wav(cell["array"], int(cell["sampling_rate"]))
    path = path_of(cell)
    return read(path) if path else None


def path_of(cell: Any) -> str | None:
    """The name that a cell gives its recording."""
    named = cell.get("path") if isinstance(cell, Mapping) else cell
    return named if isinstance(named, str) and named else None


def text_of(cell: Any) -> str:
    """A text cell, also one of bytes, or of a record that holds the text (webdataset's json)."""
    if isinstance(cell, Mapping):
        cell = next((cell[name] for name in TEXT_COLUMNS if isinstance(cell.get(name), str)), None)
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace").strip()
    return "" if cell is None else str(cell)


def extension_of(cell: Any, sound: bytes | None) -> str:
    """As the recording's own name has it, else by its first bytes."""
    named = PurePosixPath(path_of(cell) or "").suffix[1:].casefold()
    if named in AUDIO_EXTENSIONS:
        return named
    return next((name for magic, name in _MAGIC if (sound or b"").startswith(magic)), "audio")


def _wav(array: Any, rate: int) -> bytes:
    """Samples (n,) or (channels, n), whole numbers of 16 bits or of full scale 1.0."""
    samples = np.asarray(array)
    samples = samples.T if samples.ndim == 2 else samples
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.int16) if np.abs(samples, dtype=np.int64).max(initial=0) < 1 << 15 else samples
    else:
        samples = samples.astype(np.float32)
    made = io.BytesIO()
    subtype = "FLOAT" if samples.dtype == np.float32 else None
    soundfile.write(made, samples, rate, format="WAV", subtype=subtype)
    return made.getvalue()
