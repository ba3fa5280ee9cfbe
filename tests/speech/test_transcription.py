"""Windows joined say what the whole says: no word doubled, none lost, whatever each window makes of its edges."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from speech.audio import SAMPLE_RATE
from speech.ctc import decode, runs
from speech.recogniser import Recogniser
from speech.transcription import join, transcribe, windows
from tests.recognisers import peaked, tiny_lasr, tiny_recogniser
from tests.recordings import hum


@pytest.fixture
def letters(tmp_path: Path) -> Recogniser:
    return tiny_recogniser(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 16_000, 320_000, 320_001, 321_281, 960_000, 3_333_333])
@pytest.mark.parametrize(("window", "overlap"), [(20.0, 4.0), (10.0, 1.0), (7.3, 3.1), (5.0, 0.0)])
def test_windows_cover_every_sample_and_overlap(length: int, window: float, overlap: float) -> None:
    ranges = windows(length, window_seconds=window, overlap_seconds=overlap)
    assert (ranges[0][0], ranges[-1][1]) == (0, length)
    assert all(0 <= end - start <= window * SAMPLE_RATE for start, end in ranges)
    assert all(start % 1280 == 0 for start, _ in ranges)
    for (_, end), (start, _) in itertools.pairwise(ranges):
        assert end - start >= int(overlap * SAMPLE_RATE)
    if len(ranges) > 1:
        assert ranges[-1][1] - ranges[-1][0] > window * SAMPLE_RATE - 1280


@pytest.mark.parametrize(("window", "overlap"), [(4.0, 4.0), (4.0, 5.0), (4.05, 4.0), (4.0, -1.0)])
def test_windows_must_advance(window: float, overlap: float) -> None:
    with pytest.raises(ValueError, match="do not advance"):
        windows(10**6, window_seconds=window, overlap_seconds=overlap)


def speech(generator: np.random.Generator, recogniser: Recogniser, seconds: float, pause: int) -> np.ndarray:
    """A path of tokens, one a frame: words of one to nine letters, some doubled, letters of one to three frames."""
    path: list[int] = []
    while len(path) < seconds * 50:
        for letter in generator.integers(3, recogniser.vocabulary_size, generator.integers(1, 10)):
            for _ in range(1 + (generator.random() < 0.1)):
                path += [int(letter)] * int(generator.integers(1, 4)) + [0] * int(generator.integers(1, 4))
        path += [1] * int(generator.integers(1, 3)) + [0] * int(generator.integers(1, pause))
    return np.array(path)


def heard(
    path: np.ndarray,
    ranges: list[tuple[int, int]],
    recogniser: Recogniser,
    generator: np.random.Generator,
    unsure: float,
    jitter: bool,
) -> list[np.ndarray]:
    """What windows make of a path: anything within `unsure` seconds of an edge that cuts the sound, the path itself
    beyond; with `jitter`, tokens begin or end a frame sooner or later wherever a blank makes room."""
    parts = []
    edge = round(unsure * 50)
    for start, end in ranges:
        part = path[start // 320 : max(start // 320 + 1, end // 320 - 1)].copy()
        if jitter:
            for run in runs(peaked(part, recogniser.vocabulary_size)):
                shift = int(generator.integers(-1, 2))
                if run.token and shift < 0 and run.start > 1 and not part[run.start - 2 : run.start].any():
                    part[run.start - 1 : run.end] = [*part[run.start : run.end], 0]
                after = part[run.end : run.end + 2]
                if run.token and shift > 0 and len(after) == 2 and not after.any():
                    part[run.start : run.end + 1] = [0, *part[run.start : run.end]]
        noise = generator.integers(0, recogniser.vocabulary_size, len(part))
        if start > 0:
            part[:edge] = noise[:edge]
        if end < ranges[-1][1]:
            part[len(part) - edge :] = noise[len(part) - edge :]
        parts.append(peaked(part, recogniser.vocabulary_size))
    return parts


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize(("window", "overlap"), [(20.0, 4.0), (20.0, 2.0), (10.0, 3.0), (8.4, 4.2), (6.0, 3.9)])
def test_joined_windows_say_what_the_whole_says(
    letters: Recogniser, window: float, overlap: float, jitter: bool
) -> None:
    for seed, pause in itertools.product(range(12), (3, 30)):
        generator = np.random.default_rng(seed)
        path = speech(generator, letters, generator.uniform(3, 90), pause)
        ranges = windows(len(path) * 320, window_seconds=window, overlap_seconds=overlap)
        parts = heard(path, ranges, letters, generator, unsure=overlap / 4, jitter=jitter)
        whole = peaked(path[: len(path) - 1], letters.vocabulary_size)
        joined = join(parts, ranges, letters)
        assert len(joined) == len(whole)
        assert decode(joined, letters).text == decode(whole, letters).text, (seed, pause)


@pytest.mark.parametrize("kind", ["wav2vec2", "lasr"])
def test_one_window_is_the_recording_itself(tmp_path: Path, kind: str) -> None:
    recogniser = tiny_recogniser(tmp_path) if kind == "wav2vec2" else tiny_lasr()
    clips = [hum(1.3, 1), hum(0.2, 2), hum(3.7, 3)]
    for clip, transcript in zip(clips, transcribe(recogniser, clips, batch_size=2), strict=True):
        alone = decode(recogniser.emissions([clip])[0], recogniser, len(clip) / SAMPLE_RATE)
        assert transcript.text == alone.text
        assert transcript.text
        assert transcript.seconds == len(clip) / SAMPLE_RATE
        assert all(0 <= word.start <= word.end <= transcript.seconds for word in transcript.words)


@pytest.mark.parametrize("kind", ["wav2vec2", "lasr"])
def test_long_and_short_clips_keep_their_order(tmp_path: Path, kind: str) -> None:
    recogniser = tiny_recogniser(tmp_path) if kind == "wav2vec2" else tiny_lasr()
    clips = [hum(seconds, seed) for seed, seconds in enumerate((9.0, 0.6, 4.1, 12.3))]
    together = transcribe(recogniser, clips, batch_size=3, window_seconds=4.0, overlap_seconds=1.6)
    for clip, transcript in zip(clips, together, strict=True):
        (alone,) = transcribe(recogniser, [clip], batch_size=1, window_seconds=4.0, overlap_seconds=1.6)
        assert transcript.text == alone.text
        assert transcript.seconds == len(clip) / SAMPLE_RATE
