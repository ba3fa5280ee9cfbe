"""Weights in memory that workers share: found by siblings, unchangeable, gone with the last who holds them."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speech.bundles.defects import WEIGHTS, load_bundle
from speech.bundles.shared_weights import DigestError, sealed
from speech.defects.diagnose import diagnose
from speech.files import sha256_file
from speech.home import Home
from tests.bundles import write_tiny_bundle
from tests.recordings import hum

ROOT = Path(__file__).parents[3]
DATA = bytes(range(256)) * 9000  # more than a block
DIGEST = hashlib.sha256(DATA).hexdigest()
# Says which memory it has (its inode), then holds it until its input ends.
HOLD = (
    "import os, sys; from pathlib import Path; from speech.bundles.shared_weights import sealed;"
    "held = sealed(Path(sys.argv[1]), sys.argv[2]); print(os.stat(held.path).st_ino, flush=True); sys.stdin.read()"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(DATA)
    return path


def sibling(file: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(file), DIGEST]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def inode(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def held(name: str) -> list[str]:
    """This process's open memory of that name."""
    links = []
    for entry in os.scandir("/proc/self/fd"):
        try:
            links.append(os.readlink(entry.path))
        except FileNotFoundError:  # the listing's own
            continue
    return [link for link in links if name in link]


def test_the_bytes_are_those_of_the_file(file: Path) -> None:
    assert Path(sealed(file, DIGEST).path).read_bytes() == DATA


def test_processes_of_one_parent_hold_the_same_memory(file: Path) -> None:
    with sibling(file) as one, sibling(file) as two:
        assert inode(one) == inode(two)
        for process in (one, two):
            process.communicate()


def test_memory_outlives_the_process_that_read_it(file: Path) -> None:
    with sibling(file) as one:
        first = inode(one)
        with sibling(file) as two:
            assert inode(two) == first
            one.kill()
            one.wait()
            with sibling(file) as three:
                assert inode(three) == first
                three.communicate()
            two.communicate()


def test_nobody_can_change_or_shorten_it(file: Path) -> None:
    memory = sealed(file, DIGEST)
    descriptor = os.open(memory.path, os.O_RDWR)
    try:
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
        with pytest.raises(PermissionError):
            os.truncate(memory.path, 10)
    finally:
        os.close(descriptor)
    assert Path(memory.path).read_bytes() == DATA


@pytest.mark.parametrize("digest", ["0" * 64, "", "None", "\0", "../x", "0" * 300])
def test_another_checksum_is_refused_and_leaves_nothing(file: Path, digest: str) -> None:
    with pytest.raises(DigestError):
        sealed(file, digest)
    assert held(f"memfd:vnyatno-{'0' * 64}") == []


def test_a_file_that_was_spoilt_later_is_refused_though_its_bytes_are_in_memory(file: Path) -> None:
    memory = sealed(file, DIGEST)
    file.write_bytes(b"x" + DATA[1:])
    with pytest.raises(DigestError, match=str(file)):
        sealed(file, DIGEST)
    assert Path(memory.path).read_bytes() == DATA


def test_memory_that_nobody_has_checked_is_not_taken(file: Path) -> None:
    unchecked = os.memfd_create(f"vnyatno-{DIGEST}", os.MFD_ALLOW_SEALING)
    try:
        assert Path(sealed(file, DIGEST).path).read_bytes() == DATA
    finally:
        os.close(unchecked)


def test_it_is_gone_with_the_last_weight_that_lies_in_it(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1", seed=77)
    name = f"memfd:vnyatno-{sha256_file(folder / WEIGHTS)}"
    bundle = load_bundle(folder)
    weight = bundle.model.other_words.classes.weight
    assert len(held(name)) == 1
    del bundle
    gc.collect()
    assert len(held(name)) == 1
    del weight
    gc.collect()
    assert held(name) == []


def test_a_model_that_is_written_to_changes_for_itself_alone(data_home: Home) -> None:
    folder = write_tiny_bundle(data_home, "tiny-1", seed=78)
    one, two = load_bundle(folder), load_bundle(folder)
    before = diagnose(two.model, [hum(1.0)])
    with torch.no_grad():
        one.model.other_words.classes.bias.add_(5.0)
    assert diagnose(two.model, [hum(1.0)])[0].logits == before[0].logits
    assert diagnose(one.model, [hum(1.0)])[0].logits != before[0].logits
