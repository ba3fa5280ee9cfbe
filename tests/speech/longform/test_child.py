"""Hearing within one process: what comes out does not depend on how the file is read."""

from __future__ import annotations

from contextlib import suppress
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
import soxr

from speech.audio import stream as blocks_module
from speech.audio.decode import SAMPLE_RATE, AudioError, decode
from speech.audio.stream import Blocks
from speech.longform.child import windows
from speech.longform.cutter import Listening, LongLimits, RecordingSummary, Window
from tests.long import contained, joined, written


def hear(path: Path, sides: bool = False) -> tuple[list[Window], list[float], RecordingSummary]:
    with FileIO(path) as file:
        found = list(windows(Blocks(file, LongLimits().shape), Listening(sides), LongLimits()))
    last = found.pop()
    assert isinstance(last, RecordingSummary)
    return (
        [each for each in found if isinstance(each, Window)],
        [each for each in found if isinstance(each, float)],
        last,
    )


@pytest.mark.parametrize(("name", "rate"), [("a.wav", 44_100), ("a.mp3", 44_100), ("a.flac", 8_000)])
def test_windows_do_not_depend_on_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, rate: int
) -> None:
    samples = joined(1.0, "city", 0.4, "forest", 2.0, "city", 1.0)
    path = written(tmp_path / name, soxr.resample(samples, SAMPLE_RATE, rate), rate)
    whole, _, last = hear(path)
    assert len(whole) == 2
    for seconds in (0.05, 0.333, 7.0):
        monkeypatch.setattr(blocks_module, "BLOCK_SECONDS", seconds)
        again, _, other = hear(path)
        assert other.quality[None].as_dict() == pytest.approx(last.quality[None].as_dict())
        assert [(one.start, one.end) for one in again] == [(one.start, one.end) for one in whole]
        for one, two in zip(again, whole, strict=True):
            assert np.array_equal(one.samples, two.samples)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_sound_is_what_the_decoder_of_short_recordings_gives(tmp_path: Path, rate: int) -> None:
    samples = joined(1.0, "city", 1.0)
    path = written(tmp_path / "a.wav", soxr.resample(samples, SAMPLE_RATE, rate), rate)
    (window,), _, _ = hear(path)
    start = round(window.start * SAMPLE_RATE)
    wanted = decode(path).samples[start : start + len(window.samples)]
    np.testing.assert_allclose(window.samples, wanted, atol=1e-5)


def test_silence_is_no_standstill(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", joined("city", 45.0), SAMPLE_RATE)
    _, positions, last = hear(path)
    assert len(positions) == 5
    assert max(np.diff([0.0, *positions, last.seconds])) <= 11.0


def test_damaged_files_are_heard_or_refused_and_nothing_else(tmp_path: Path) -> None:
    rng, samples = np.random.default_rng(1), joined("city", 0.5)
    whole = [written(tmp_path / f"a.{form}", samples).read_bytes() for form in ("wav", "flac", "ogg", "mp3")]
    whole += [contained(samples, "mp4", "aac"), contained(samples, "webm", "libopus")]
    path, given = tmp_path / "damaged", 0
    for number in range(72):
        damaged = bytearray(whole[number % len(whole)])
        reach = len(damaged) if number % 2 else 400
        for place in rng.integers(0, reach, rng.integers(1, 20)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(AudioError):
            given += len(hear(path)[0])
    assert given > 10
