"""Windows joined say what the whole says: no word doubled, none lost, whatever each window makes of its edges."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from speech.audio import decode as audio
from speech.audio.decode import SAMPLE_RATE
from speech.ctc.decoding import Decoder, decode, runs
from speech.ctc.folder import Recogniser, new_recogniser
from speech.ctc.stitching import Stitcher
from speech.ctc.transcription import transcribe, windows
from speech.text.language import load_language
from tests.recognisers import peaked, tiny_lasr, tiny_recogniser
from tests.recordings import hum

pytestmark = pytest.mark.long


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


def join(parts: list[np.ndarray], ranges: list[tuple[int, int]], recogniser: Recogniser) -> np.ndarray:
    """The emissions of the whole from its windows'."""
    stitcher = Stitcher(recogniser.frame_samples, recogniser.blank)
    joined = [stitcher.add(part, start) for part, (start, _) in zip(parts, ranges, strict=True)]
    return np.concatenate([*joined, stitcher.finish()])


def speech(generator: np.random.Generator, recogniser: Recogniser, seconds: float, pause: int) -> np.ndarray:
    """A path of tokens, one a frame: words of one to nine letters, some doubled, letters of one to three frames."""
    path: list[int] = []
    while len(path) < seconds / recogniser.frame_seconds:
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
    step = recogniser.frame_samples
    edge = round(unsure / recogniser.frame_seconds)
    for start, end in ranges:
        part = path[start // step : max(start // step + 1, end // step - 1)].copy()
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
@pytest.mark.parametrize(
    ("kind", "window", "overlap"),
    [("wav2vec2", 20.0, 4.0), ("wav2vec2", 20.0, 2.0), ("wav2vec2", 10.0, 3.0), ("wav2vec2", 8.4, 4.2),
     ("wav2vec2", 6.0, 3.9), ("lasr", 20.0, 4.0), ("lasr", 9.5, 5.0)],
)  # fmt: skip
def test_joined_windows_say_what_the_whole_says(
    tmp_path: Path, kind: str, window: float, overlap: float, jitter: bool
) -> None:
    letters = tiny_recogniser(tmp_path) if kind == "wav2vec2" else tiny_lasr()
    for seed, pause in itertools.product(range(8), (3, 30)):
        generator = np.random.default_rng(seed)
        path = speech(generator, letters, generator.uniform(3, 90), pause)
        ranges = windows(len(path) * letters.frame_samples, window_seconds=window, overlap_seconds=overlap)
        parts = heard(path, ranges, letters, generator, unsure=overlap / 4, jitter=jitter)
        whole = peaked(path[: len(path) - 1], letters.vocabulary_size)
        joined = join(parts, ranges, letters)
        assert len(joined) == len(whole)
        assert decode(joined, letters).text == decode(whole, letters).text, (seed, pause)


@pytest.mark.parametrize("kind", ["wav2vec2", "lasr"])
@pytest.mark.parametrize("piece", [1, 3, 40, 801])
def test_emissions_in_pieces_say_what_they_say_at_once(tmp_path: Path, kind: str, piece: int) -> None:
    letters = tiny_recogniser(tmp_path) if kind == "wav2vec2" else tiny_lasr()
    for seed, probability in itertools.product(range(4), (0.9, 0.4)):
        generator = np.random.default_rng(seed)
        emissions = peaked(speech(generator, letters, 20, 30), letters.vocabulary_size, probability)
        decoder = Decoder(letters)
        words = [word for at in range(0, len(emissions), piece) for word in decoder.add(emissions[at : at + piece])]
        found, whole = decoder.finish(), decode(emissions, letters)
        assert found == whole
        assert " ".join(words) == " ".join(whole.text.split(" ")[: len(words)])
        assert len(words) >= len(whole.words) - 2


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


@pytest.mark.parametrize(("window", "overlap"), [(20.0, 4.0), (10.0, 2.0), (6.0, 1.0), (3.0, 1.5)])
def test_recordings_of_speech_in_windows_are_the_whole_where_the_model_looks_no_further(
    window: float, overlap: float
) -> None:
    recogniser = looks_no_further()
    sounds = recordings(24)
    for sound in (np.concatenate(sounds[:12]), np.concatenate(sounds[12:])):
        (joined,) = transcribe(recogniser, [sound], window_seconds=window, overlap_seconds=overlap)
        whole = decode(recogniser.emissions([sound])[0], recogniser)
        assert len(whole.text) > 100
        assert joined.text == whole.text
        assert [word.start for word in joined.words] == pytest.approx([word.start for word in whole.words])


def looks_no_further() -> Recogniser:
    """The convolutions of the encoder that ships, which reach 0.4 s to each side, with a head of random weights: what
    such a model hears in a window is the same as in the whole, but near the edges."""
    recogniser = new_recogniser("encoders/small", load_language("ru").alphabet, "ru", seed=1)
    recogniser.model.wav2vec2.encoder.layers = torch.nn.ModuleList()
    recogniser.processor.feature_extractor.do_normalize = False
    with torch.no_grad():
        recogniser.model.lm_head.weight.mul_(20)
        recogniser.model.lm_head.bias[0] += 12  # a blank in about half of the frames
    return recogniser


def recordings(count: int) -> list[np.ndarray]:
    """Sound of the sample archive, of `count` clips."""
    with zipfile.ZipFile("samples/mini.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".mp3"))[:count]
        return [audio.decode(archive.read(name)).samples for name in names]
