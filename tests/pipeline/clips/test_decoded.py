"""Every file is decoded once, in order, whatever some of them do to the decoder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.clips.decoded import Decoded, decode_files
from speech.audio.decode import AudioError, AudioLimits
from speech.audio.isolated import Decoder
from speech.process.worker import Worker

COUNTING_CHILD = """
import os, sys, time
import speech.audio.isolated as decoding

sound = decoding.decode

def decode(data, limits):
    os.mkdir(os.path.join(sys.argv[1], str(time.monotonic_ns())))  # the child may write into no file
    return sound(data, limits)

decoding.decode = decode
decoding.main()
"""


def run(paths: list[Path], workers: int = 2, make: Callable[[], Decoder] = Decoder) -> dict[str, Decoded | AudioError]:
    found: dict[str, Decoded | AudioError] = {}
    for same, outcome in decode_files([str(path) for path in paths], AudioLimits(), make, workers):
        found |= dict.fromkeys((Path(path).name for path in same), outcome)
    return found


@pytest.fixture
def files(tmp_path: Path, sound: Callable[..., np.ndarray]) -> list[Path]:
    paths = [tmp_path / f"{number}.wav" for number in range(12)]
    for number, path in enumerate(paths):
        soundfile.write(path, sound(number), 16_000)
    return paths


def test_outcomes_come_in_order_and_whole(files: list[Path]) -> None:
    outcomes = run(files)
    assert list(outcomes) == [path.name for path in files]
    for path in files:
        outcome = outcomes[path.name]
        assert isinstance(outcome, Decoded)
        assert np.array_equal(outcome.samples, soundfile.read(path, dtype="int16")[0])


def test_equal_bytes_are_decoded_once(files: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.wav"
    shutil.copy(files[3], copy)
    count = tmp_path / "count"
    count.mkdir()

    def counting() -> Decoder:
        decoder = Decoder()
        decoder._worker = Worker([sys.executable, "-c", COUNTING_CHILD, str(count)])
        return decoder

    outcomes = run([*files, copy], make=counting)
    assert outcomes["copy.wav"] is outcomes["3.wav"]
    assert len(list(count.iterdir())) == len(files)


def test_equal_sound_in_another_format_has_the_same_content(tmp_path: Path, sound: Callable[..., np.ndarray]) -> None:
    samples = (sound(1) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    soundfile.write(tmp_path / "a.flac", samples, 16_000)
    wav, flac = run([tmp_path / "a.wav", tmp_path / "a.flac"]).values()
    assert isinstance(wav, Decoded)
    assert isinstance(flac, Decoded)
    assert wav.content == flac.content
    assert wav.sha256 != flac.sha256


def test_a_file_that_cannot_be_read_is_an_outcome(files: list[Path], tmp_path: Path) -> None:
    gone = tmp_path / "gone.wav"
    outcome = run([files[0], gone])["gone.wav"]
    assert isinstance(outcome, AudioError)
    assert outcome.code == "unreadable"


def test_progress_ends_at_the_end(files: list[Path]) -> None:
    told: list[tuple[int, int, float]] = []
    tell = lambda done, total, left: told.append((done, total, left))  # noqa: E731
    list(decode_files([str(path) for path in files], AudioLimits(), Decoder, 2, tell))
    assert told[-1] == (12, 12, 0.0)
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})


def test_breaking_off_leaves_no_child(files: list[Path]) -> None:
    made: list[Decoder] = []

    def remembered() -> Decoder:
        made.append(Decoder())
        return made[-1]

    outcomes = decode_files([str(path) for path in files], AudioLimits(), remembered, 2)
    next(outcomes)
    outcomes.close()
    assert len(made) == 2
    assert all(decoder._worker.pid is None for decoder in made)
