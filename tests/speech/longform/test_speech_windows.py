"""Where one side is cut: in pauses, never too long, never too short, whatever pieces it comes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, SILENCE_DBFS
from speech.audio.vad import BATCH, FRAME
from speech.longform import speech_windows
from speech.longform.cutter import Window
from speech.longform.speech_windows import PAD_SECONDS, SideCutter
from tests.long import joined, room, sentence

SECOND = SAMPLE_RATE / FRAME  # frames


class Script:
    """A detector that finds speech in frames of 0.1 of full scale and more, as surely as they are loud."""

    def probabilities(self, frames: np.ndarray) -> np.ndarray:
        assert frames.shape == (BATCH, FRAME)
        return np.where(frames.max(1) >= 0.1, frames.max(1), 0.0)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_windows, "VoiceActivity", Script)


def sound(*parts: tuple[float, float]) -> np.ndarray:
    """Stretches of (seconds, level), whole frames each."""
    return np.concatenate([np.full(round(seconds * SECOND) * FRAME, level, np.float32) for seconds, level in parts])


def cut(samples: np.ndarray, shortest: float = 0.2, longest: float = 10.0, pieces: Sequence[int] = ()) -> list[Window]:
    cutter = SideCutter(None, shortest, longest, SILENCE_DBFS)

    def all_windows() -> Iterator[Window]:
        for piece in np.split(samples, pieces):
            yield from cutter.add(piece)
        yield from cutter.finish()

    return list(all_windows())


def times(windows: Sequence[Window]) -> list[tuple[float, float]]:
    return [(round(window.start, 2), round(window.end, 2)) for window in windows]


def test_windows_do_not_depend_on_the_pieces_they_come_in() -> None:
    samples = joined(2.0, "city", 0.3, "forest", 0.4, "city", 3.0, "forest", 0.5, "city", 1.5, "city", 0.7)
    whole = cut(samples, longest=6.0)
    assert len(whole) > 3
    rng = np.random.default_rng(0)
    for pieces in (range(160, len(samples), 160), np.sort(rng.integers(0, len(samples), 25)), range(7, 4_000, 7)):
        again = cut(samples, longest=6.0, pieces=list(pieces))
        assert [(one.start, one.end, one.speech_seconds) for one in again] == [
            (one.start, one.end, one.speech_seconds) for one in whole
        ]
        assert all(np.array_equal(one.samples, other.samples) for one, other in zip(again, whole, strict=True))


@pytest.mark.usefixtures("scripted")
def test_long_pauses_end_a_window_and_short_ones_do_not() -> None:
    windows = cut(sound((2, 0), (1, 0.8), (0.5, 0), (1, 0.8), (3, 0), (2, 0.8), (2, 0)))
    assert times(windows) == [
        (pytest.approx(2 - PAD_SECONDS, abs=0.04), pytest.approx(4.5 + PAD_SECONDS, abs=0.04)),
        (pytest.approx(7.5 - PAD_SECONDS, abs=0.04), pytest.approx(9.5 + PAD_SECONDS, abs=0.04)),
    ]
    assert [window.speech_seconds for window in windows] == pytest.approx([2.0, 2.0], abs=0.05)


@pytest.mark.usefixtures("scripted")
def test_a_window_that_grows_too_long_is_cut_in_its_longest_late_pause() -> None:
    windows = cut(sound((1.5, 0.8), (0.8, 0), (4, 0.8), (0.5, 0), (1, 0.8), (0.3, 0), (4, 0.8), (2, 0)))
    assert times(windows)[0] == (0.0, pytest.approx(6.3 + PAD_SECONDS, abs=0.04))
    assert times(windows)[1] == (
        pytest.approx(6.8 - PAD_SECONDS, abs=0.04),
        pytest.approx(12.1 + PAD_SECONDS, abs=0.05),
    )


@pytest.mark.usefixtures("scripted")
def test_an_early_pause_is_better_than_none() -> None:
    windows = cut(sound((3, 0.8), (0.4, 0), (9, 0.8), (2, 0)))
    assert times(windows)[0] == (0.0, pytest.approx(3 + PAD_SECONDS, abs=0.04))
    assert windows[1].end == pytest.approx(12.4 + PAD_SECONDS, abs=0.05)


@pytest.mark.usefixtures("scripted")
def test_without_a_pause_it_is_cut_where_speech_is_least_sure() -> None:
    windows = cut(sound((8, 0.8), (0.1, 0.4), (9, 0.8), (2, 0)))
    assert windows[0].end == windows[1].start == pytest.approx(8, abs=0.04)
    assert windows[1].end - windows[1].start > 9


@pytest.mark.usefixtures("scripted")
def test_nothing_is_lost_and_nothing_heard_twice_where_nobody_pauses() -> None:
    samples = sound((100, 0.8)) - np.linspace(0, 0.3, round(100 * SECOND) * FRAME, dtype=np.float32)
    windows = cut(samples, longest=7.0)
    assert np.array_equal(np.concatenate([window.samples for window in windows]), samples)
    assert max(len(window.samples) for window in windows) <= 7 * SAMPLE_RATE


@pytest.mark.usefixtures("scripted")
def test_a_click_is_dropped() -> None:
    assert cut(sound((2, 0), (0.15, 0.8), (2, 0))) == []
    assert len(cut(sound((2, 0), (0.15, 0.8), (0.5, 0), (0.3, 0.8), (2, 0)))) == 1  # joined with its neighbour


@pytest.mark.usefixtures("scripted")
def test_a_short_island_is_widened_to_what_may_be_judged() -> None:
    (window,) = cut(sound((3, 0), (0.5, 0.8), (5, 0)), shortest=2.0)
    assert 2.0 <= window.end - window.start < 2.1
    assert window.start == pytest.approx(3 - PAD_SECONDS, abs=0.04)
    (last,) = cut(sound((3, 0), (0.5, 0.8)), shortest=2.0)  # into the past, where there is no more to come
    assert last.end == pytest.approx(3.5, abs=0.04)
    assert 2.0 <= last.end - last.start < 2.1
    assert cut(sound((0.5, 0), (0.5, 0.8)), shortest=2.0) == []


@pytest.mark.usefixtures("scripted")
def test_the_end_of_the_recording_ends_a_window() -> None:
    samples = sound((1, 0), (2, 0.8))[:-100]
    (window,) = cut(samples)
    assert window.end == len(samples) / SAMPLE_RATE
    assert np.array_equal(window.samples, samples[-len(window.samples) :])
    assert cut(samples[:0]) == []


def test_memory_is_that_of_a_window() -> None:
    cutter = SideCutter(None, 0.2, 10.0, SILENCE_DBFS)
    most = 0
    for number in range(60):
        piece = room(3.0, number) if number % 3 else np.resize(sentence(), 48_000)
        list(cutter.add(piece))
        most = max(most, len(cutter._sound))
    assert most < (10 + 3 + 2) * SAMPLE_RATE


@pytest.mark.parametrize("level", [1.0, 0.1, 0.03])
def test_speech_is_found_in_noise_and_from_afar(level: float) -> None:
    samples = joined(2.0, "city", 2.0, "forest", 5.0)
    noisy = level * (samples + 0.01 * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32))
    spoken = [(2.0, 2.0 + len(sentence()) / 16_000), (4.0 + len(sentence()) / 16_000, len(samples) / 16_000 - 5.0)]
    assert times(cut(noisy.astype(np.float32))) == [pytest.approx(pair, abs=0.45) for pair in spoken]
