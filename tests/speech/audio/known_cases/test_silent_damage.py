"""Damage that decoders and FFmpeg's readers step over without a word is told, and whole files are whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import FileIO
from pathlib import Path

import av
import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, decode
from speech.audio.limits import AudioError, AudioLimits
from speech.audio.stream import Blocks
from tests.long import joined, sentence
from tests.speech.audio.known_cases.make import contained

pytestmark = pytest.mark.long

Maker = Callable[[np.ndarray, Path], bytes]


def made_by(kind: str, codec: str, rate: int = 44_100, **options: str) -> Maker:
    return lambda samples, folder: contained(samples, folder / "scratch", kind, codec, rate, **options)


FORMATS: dict[str, Maker] = {
    "alac": made_by("ipod", "alac"),
    "alac of 8 kHz": made_by("ipod", "alac", 8_000),
    "alac in fragments": made_by("mp4", "alac", movflags="frag_keyframe+empty_moov", frag_duration="400000"),
    "alac in a matroska": made_by("matroska", "alac"),
    "avi of samples": made_by("avi", "pcm_s16le", 16_000),
    "avi of mp3": made_by("avi", "libmp3lame"),
    "avi of aac": made_by("avi", "aac"),
    "wv": made_by("wv", "wavpack"),
    "wv of 48 kHz": made_by("wv", "wavpack", 48_000),
    "wv in a matroska": made_by("matroska", "wavpack"),
    "webm of opus": made_by("webm", "libopus", 48_000),
    "webm as recorded": made_by("webm", "libopus", 48_000, live="1"),
    "webm in short clusters": made_by("webm", "libopus", 48_000, cluster_time_limit="500"),
    "matroska of opus": made_by("matroska", "libopus", 48_000),
    "matroska of samples": made_by("matroska", "pcm_s16le", 16_000),
}
# Healthy in other ways: with a delay of the encoder, an edit list, frames of several lengths, pauses that are not sent.
HEALTHY: dict[str, Maker] = FORMATS | {
    "m4a": made_by("mp4", "aac", 48_000),
    "m4a with its index first": made_by("mp4", "aac", movflags="faststart"),
    "mp3 with gaps told": made_by("mp3", "libmp3lame"),
    "mp3 without a tag": made_by("mp3", "libmp3lame", write_xing="0"),
    "mp3 in a matroska": made_by("matroska", "libmp3lame"),
    "aac in a matroska": made_by("matroska", "aac", 48_000),
    "flac in a matroska": made_by("matroska", "flac"),
    "wma": made_by("asf", "wmav2"),
    "opus in an ogg": made_by("ogg", "libopus", 48_000),
    "opus in an mp4": made_by("mp4", "libopus", 48_000),
    "flac in an mp4": made_by("mp4", "flac"),
    "caf of alac": made_by("caf", "alac"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    folder = tmp_path_factory.mktemp("made")
    return cache(lambda name: HEALTHY[name](joined("city", 0.3, "forest", 2.0, "city"), folder))


SECONDS = len(joined("city", 0.3, "forest", 2.0, "city")) / SAMPLE_RATE


def told(data: bytes) -> tuple[bool, bool]:
    sound = decode(data)
    return sound.cut_short, sound.damaged


@pytest.mark.parametrize("name", HEALTHY)
def test_whole_files_are_whole(tmp_path: Path, whole: Callable[[str], bytes], name: str) -> None:
    sound = decode(whole(name))
    frame = 1.0 if "wv" in name else 0.5 if "8 kHz" in name else 0.15  # an encoder's last, which is not whole
    assert sound.seconds == pytest.approx(SECONDS, abs=frame)
    assert (sound.cut_short, sound.damaged) == (False, False)
    path = tmp_path / "a"
    path.write_bytes(whole(name))
    with FileIO(path) as file:
        blocks = Blocks(file, AudioLimits())
        assert sum(piece.seconds for piece in blocks) == pytest.approx(sound.seconds, abs=0.01)
    assert (blocks.cut_short, blocks.damaged) == (False, False)


def missing(data: bytes, at: float, count: int) -> bytes:
    """The file without so many bytes."""
    start = int(len(data) * at)
    return data[:start] + data[start + count :]


def overwritten(data: bytes, at: float, count: int, seed: int = 0) -> bytes:
    """The file with so many random bytes."""
    start = int(len(data) * at)
    return data[:start] + np.random.default_rng(seed).bytes(count) + data[start + count :]


def emptied(data: bytes, at: float, count: int) -> bytes:
    """The file with so many zeros, as a disk leaves them."""
    start = int(len(data) * at)
    return data[:start] + bytes(count) + data[start + count :]


PLACES = (0.3, 0.45, 0.55, 0.7)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("at", PLACES)
def test_lost_bytes_are_told(whole: Callable[[str], bytes], name: str, at: float) -> None:
    with suppress(AudioError):  # an index that stands behind the sound is not found any more
        assert any(told(missing(whole(name), at, 4_001)))


# One as a browser records it says neither how long it is nor where its parts end.
ENDING = [name for name in FORMATS if name.startswith(("avi", "matroska", "webm", "wv")) and "recorded" not in name]


@pytest.mark.parametrize("name", ENDING)
def test_a_missing_end_is_told(whole: Callable[[str], bytes], name: str) -> None:
    assert told(whole(name)[: len(whole(name)) * 7 // 10])[0]


# Any bytes are samples, and ALAC keeps noise as it is.
TOLD = [
    (name, at)
    for name in FORMATS
    for at in PLACES
    if "samples" not in name and not ("alac" in name and at == PLACES[2])
]


@pytest.mark.parametrize(("name", "at"), TOLD)
@pytest.mark.parametrize("fault", [overwritten, emptied])
def test_overwritten_bytes_are_told(
    whole: Callable[[str], bytes], name: str, at: float, fault: Callable[[bytes, float, int], bytes]
) -> None:
    assert any(told(fault(whole(name), at, 2_000)))


@pytest.mark.parametrize("name", ["alac", "alac of 8 kHz", "wv", "wv of 48 kHz"])
def test_a_few_bad_bytes_are_told_and_cost_their_packet(whole: Callable[[str], bytes], name: str) -> None:
    found = [decode(overwritten(whole(name), 0.3 + 0.08 * seed, 40, seed)) for seed in range(6)]
    assert {sound.cut_short for sound in found} == {False}
    assert {sound.seconds for sound in found} == {decode(whole(name)).seconds}
    # ALAC has no checksum: what happens to end where its packet does is sound to its decoder.
    assert sum(sound.damaged for sound in found) >= (5 if "alac" in name else 6)
    assert max(np.abs(sound.samples).max() for sound in found if sound.damaged) < 1.5 * np.abs(sentence()).max()


@pytest.mark.parametrize("name", ["webm of opus", "webm as recorded"])
def test_packets_that_were_taken_out_are_told(whole: Callable[[str], bytes], tmp_path: Path, name: str) -> None:
    """The head of a block is damaged, and FFmpeg looks for the next that it understands."""
    data = bytearray(whole(name))
    block = data.index(b"\xa3", len(data) // 2)
    while data[block + 2 : block + 3] != b"\x81" or data[block + 1] <= 0x40:
        block = data.index(b"\xa3", block + 1)
    data[block] ^= 0x55
    assert told(bytes(data)) == (False, True)


def test_no_complaint_of_a_whole_file_is_logged_here(
    whole: Callable[[str], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    decode(overwritten(whole("alac"), 0.5, 400))
    assert av.logging.get_level() is None
    assert caplog.records == []
