from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from speech.bundles.defects import BundleError
from speech.bundles.gate import Gate, GateRefused
from speech.home import Home
from speech.serving.pointer import PointerError, pointer_file, publish, read_pointer
from tests.bundles import METRICS, write_tiny_bundle


def test_nothing_published_is_no_pointer(data_home: Home) -> None:
    assert read_pointer(data_home) is None


def test_publishing_moves_the_pointer_and_remembers_the_one_before(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(data_home, name)
        assert all(condition.passed for condition in publish(data_home, name))
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert (pointer.current, pointer.previous) == ("tiny-2", "tiny-1")
    assert pointer.published


def test_publishing_what_serves_already_changes_nothing(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(data_home, name)
        publish(data_home, name)
    before = pointer_file(data_home).read_bytes()
    publish(data_home, "tiny-2")
    assert pointer_file(data_home).read_bytes() == before


def test_the_gate_is_checked_again_when_publishing(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    before = pointer_file(data_home).read_bytes()
    write_tiny_bundle(data_home, "tiny-2", metrics=METRICS | {"macro_f1": 0.4})
    write_tiny_bundle(data_home, "tiny-3", gate=Gate(min_macro_f1=0.9))
    for name in ("tiny-2", "tiny-3"):
        with pytest.raises(GateRefused, match="the service stays as it is"):
            publish(data_home, name)
    assert pointer_file(data_home).read_bytes() == before


def test_a_broken_bundle_is_not_published(data_home: Home) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    broken = write_tiny_bundle(data_home, "tiny-2")
    os.truncate(broken / "model.safetensors", 100)
    for name in ("tiny-2", "tiny-nowhere", "../tiny-1"):
        with pytest.raises(BundleError):
            publish(data_home, name)
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert pointer.current == "tiny-1"


def test_a_bundle_under_another_name_is_not_published(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1")
    shutil.copytree(folder, data_home.bundles / "tiny-copy")
    with pytest.raises(BundleError, match="tiny-copy"):
        publish(data_home, "tiny-copy")
    assert read_pointer(data_home) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no pointer"),
        ("current: [", "cannot be read"),
        ("- a\n", "holds no pointer"),
        ("previous: tiny-1\n", "names no current bundle"),
        ("current: tiny-1\nmore: 1\n", "holds no pointer"),
        ("current: ../../etc\n", "no bundle id"),
        ("current: null\n", "no bundle id"),
        ("current: tiny-1\nprevious: ..\n", "no bundle id"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_broken_pointer_is_an_error_and_the_next_publication_mends_it(
    data_home: Home, text: str | bytes, message: str
) -> None:
    data_home.serving.mkdir(parents=True)
    pointer_file(data_home).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PointerError, match=message):
        read_pointer(data_home)
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert pointer.current == "tiny-1"


def test_a_reader_never_sees_half_a_pointer(data_home: Home) -> None:
    names = ["tiny-1", "tiny-2"]
    for name in names:
        write_tiny_bundle(data_home, name)
    publish(data_home, names[0])
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(lambda n=name: [publish(data_home, n) for _ in range(15)]) for name in names]
        seen = set()
        while not all(writer.done() for writer in writers):
            pointer = read_pointer(data_home)
            assert pointer is not None
            seen.add(pointer.current)
        assert all(len(writer.result()) == 15 for writer in writers)
    assert seen <= set(names)
    assert not [path for path in data_home.serving.iterdir() if path.suffix not in {".yaml", ".lock", ".jsonl"}]
