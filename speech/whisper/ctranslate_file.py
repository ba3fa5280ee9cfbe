"""Reading the weights in a CTranslate2 Whisper model.

The file's layout is that of CTranslate2's `ModelSpec` serialiser, binary version 6: little-endian numbers, strings with
a 16-bit length that counts a closing NUL; a header, the variables, then aliases (second names of variables).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

_BINARY_VERSION = 6
_WHISPER_SPEC = "WhisperSpec"
_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}  # 5, bfloat16, has no numpy type

Variables = Mapping[str, np.ndarray]


class ModelFileError(ValueError):
    """A model file that is not what its name promises; the message names the file."""


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Name to array of every variable in a CTranslate2 `model.bin` of a Whisper model; aliases share the array.

    Raises `ModelFileError` where the file is no such model, of another version, cut short or too long.
    """
    with path.open("rb") as file:
        try:
            return _read(file)
        except (struct.error, UnicodeDecodeError, EOFError, KeyError, ValueError) as error:
            raise ModelFileError(f"{path} is no CTranslate2 Whisper model that can be read: {error}") from error


def _read(file: IO[bytes]) -> dict[str, np.ndarray]:
    (version,) = _numbers(file, "I")
    if version != _BINARY_VERSION:
        raise ValueError(f"binary version {version}, not {_BINARY_VERSION}")
    spec = _string(file)
    if spec != _WHISPER_SPEC:
        raise ValueError(f"it holds a {spec!r}, not a {_WHISPER_SPEC!r}")
    _, count = _numbers(file, "II")  # the spec's revision, the number of variables
    variables: dict[str, np.ndarray] = {}
    for _ in range(count):
        name = _string(file)
        (rank,) = _numbers(file, "B")
        shape = _numbers(file, f"{rank}I")
        dtype, size = _numbers(file, "BI")
        variables[name] = np.frombuffer(_exactly(file, size), _DTYPES[dtype]).reshape(shape)
    (aliases,) = _numbers(file, "I")
    for _ in range(aliases):
        alias = _string(file)
        variables[alias] = variables[_string(file)]
    if file.read(1):
        raise ValueError("bytes follow after its end")
    return variables


def _exactly(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise EOFError("it is cut short")
    return data


def _numbers(file: IO[bytes], layout: str) -> tuple[int, ...]:
    layout = "<" + layout
    return struct.unpack(layout, _exactly(file, struct.calcsize(layout)))


def _string(file: IO[bytes]) -> str:
    (length,) = _numbers(file, "H")
    return _exactly(file, length).rstrip(b"\0").decode()
