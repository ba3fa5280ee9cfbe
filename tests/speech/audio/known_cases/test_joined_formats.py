"""Files of different formats one after the other are all heard; a file that is one is taken for one."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache
from io import FileIO
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, decode
from speech.audio.limits import AudioLimits
from speech.audio.sections import sections
from speech.audio.stream import Blocks
from tests.speech.audio.known_cases.make import contained, plain

pytestmark = pytest.mark.long

HERE = Path(__file__).resolve().parent
SECONDS = 1.5
LOW, HIGH = 330.0, 900.0  # hertz of the first and of the second file
ID3 = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"TIT2\x00\x00\x00\x05\x00\x00\x03note" + bytes(241)
ID3V1 = b"TAG" + b"title".ljust(125, b"\x00")


def tone(hertz: float) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def by_ffmpeg(kind: str, codec: str, rate: int = 48_000, **options: str) -> Callable[[float, Path], bytes]:
    return lambda hertz, folder: contained(tone(hertz), folder / "scratch", kind, codec, rate, **options)


def by_libsndfile(kind: str, subtype: str | None = None, rate: int = SAMPLE_RATE) -> Callable[[float, Path], bytes]:
    return lambda hertz, _: plain(tone(hertz), kind, subtype, rate)


def odd_wav(hertz: float, _: Path) -> bytes:
    """Of an odd number of bytes, which a byte of nothing follows."""
    data = bytearray(plain(tone(hertz)[:-1], "WAV", "PCM_U8"))
    assert len(data) % 2 == 0
    return bytes(data)


def streamed_wav(hertz: float, _: Path) -> bytes:
    """As a recorder writes that does not know yet how much comes."""
    data = bytearray(plain(tone(hertz), "WAV"))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    return bytes(data)


MAKERS: dict[str, Callable[[float, Path], bytes]] = {
    "wav": by_libsndfile("WAV"),
    "wav of 8 bits": odd_wav,
    "aiff": by_libsndfile("AIFF"),
    "flac": by_libsndfile("FLAC"),
    "ogg": by_libsndfile("OGG", "VORBIS"),
    "opus": by_libsndfile("OGG", "OPUS"),
    "mp3": by_libsndfile("MP3"),
    "mp3 with tags": lambda hertz, _: ID3 + plain(tone(hertz), "MP3") + ID3V1,
    "aac": by_ffmpeg("adts", "aac"),
    "m4a": by_ffmpeg("mp4", "aac"),
    "m4a in fragments": by_ffmpeg("mp4", "aac", movflags="frag_keyframe+empty_moov", frag_duration="300000"),
    "mov": by_ffmpeg("mov", "aac"),
    "webm": by_ffmpeg("webm", "libopus"),
    "webm as recorded": by_ffmpeg("webm", "libopus", live="1"),
    "wma": by_ffmpeg("asf", "wmav2", 44_100),
    "avi": by_ffmpeg("avi", "pcm_s16le", 16_000),
    "wv": by_ffmpeg("wv", "wavpack", 44_100),
    "caf": by_ffmpeg("caf", "pcm_s16be", 16_000),
}
LAST_ONLY = {"a wav that was streamed": streamed_wav}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float], bytes]:
    folder = tmp_path_factory.mktemp("made")
    return cache(lambda name, hertz: (MAKERS | LAST_ONLY)[name](hertz, folder))


def pitch(samples: np.ndarray) -> float:
    """The loudest frequency in hertz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * SAMPLE_RATE / len(samples))


def pairs() -> list[Any]:
    """Each format before each other one; all but those that stand beside each other above are for `make test-all`."""
    names = list(MAKERS)
    apart = {pair: abs(names.index(pair[0]) - names.index(pair[1])) for pair in permutations(names, 2)}
    return [
        pytest.param(pair, id=" and ".join(pair), marks=[] if steps in (1, len(names) - 1) else [pytest.mark.system])
        for pair, steps in apart.items()
    ]


@pytest.mark.parametrize("pair", pairs())
def test_both_files_are_heard(made: Callable[[str, float], bytes], pair: tuple[str, str]) -> None:
    first, second = made(pair[0], LOW), made(pair[1], HIGH)
    sound = decode(first + second)
    alone = decode(first).seconds
    assert sound.seconds == pytest.approx(alone + decode(second).seconds, abs=0.15)
    assert (sound.cut_short, sound.damaged) == (False, False)
    middle = int(alone * SAMPLE_RATE)
    assert pitch(sound.samples[: middle - 1600]) == pytest.approx(LOW, abs=10)
    assert pitch(sound.samples[middle + 1600 :]) == pytest.approx(HIGH, abs=10)


@pytest.mark.parametrize("name", [name for name in MAKERS if not name.startswith("wav")])
def test_a_file_behind_a_streamed_wav_is_heard(made: Callable[[str, float], bytes], name: str) -> None:
    sound = decode(made("a wav that was streamed", LOW) + made(name, HIGH))
    assert sound.seconds == pytest.approx(SECONDS + decode(made(name, HIGH)).seconds, abs=0.15)
    assert (sound.cut_short, sound.damaged) == (False, False)


@pytest.mark.parametrize("name", ["wav", "ogg", "mp3", "m4a", "webm", "flac"])
def test_a_file_behind_and_before_amr_is_heard(made: Callable[[str, float], bytes], name: str) -> None:
    amr, other = (HERE / "comfort_noise.amr").read_bytes(), made(name, HIGH)
    expected = decode(amr).seconds + decode(other).seconds
    for data in (amr + other, other + amr):
        sound = decode(data)
        assert sound.seconds == pytest.approx(expected, abs=0.15)
        assert (sound.cut_short, sound.damaged) == (False, False)


def test_many_files_are_heard_as_a_stream_too(made: Callable[[str, float], bytes], tmp_path: Path) -> None:
    names = ("ogg", "mp3", "wav", "mp3 with tags", "m4a", "flac", "webm", "aac", "ogg", "ogg", "wav", "wav")
    path = tmp_path / "joined"
    path.write_bytes(b"".join(made(name, LOW) for name in names))
    expected = sum(decode(made(name, LOW)).seconds for name in names)
    with FileIO(path) as file:
        blocks = Blocks(file, AudioLimits())
        assert sum(piece.seconds for piece in blocks) == pytest.approx(expected, abs=0.3)
    assert (blocks.cut_short, blocks.damaged) == (False, False)


def test_the_end_of_the_second_file_may_be_missing(made: Callable[[str, float], bytes]) -> None:
    second = made("m4a in fragments", HIGH)
    sound = decode(made("wav", LOW) + second[: len(second) * 6 // 10])
    assert sound.seconds > SECONDS + 0.3
    assert sound.cut_short


ONE = {
    "mp3 in a wav": by_ffmpeg("wav", "libmp3lame", 44_100),
    "mp3 in an avi": by_ffmpeg("avi", "libmp3lame", 44_100),
    "mp3 in a matroska": by_ffmpeg("matroska", "libmp3lame", 44_100),
    "flac in a matroska": by_ffmpeg("matroska", "flac", 44_100),
    "flac in an mp4": by_ffmpeg("mp4", "flac", 44_100),
    "flac in an ogg": by_ffmpeg("ogg", "flac", 44_100),
    "alac": by_ffmpeg("ipod", "alac", 44_100),
    "wav and a tag": lambda hertz, _: plain(tone(hertz), "WAV") + ID3,
    "wav and nothing": lambda hertz, _: plain(tone(hertz), "WAV") + bytes(1000),
    "ogg and a tag": lambda hertz, _: plain(tone(hertz), "OGG", "VORBIS") + ID3V1,
    "flac and a tag": lambda hertz, _: plain(tone(hertz), "FLAC") + ID3V1,
    "mp3 and a tag": lambda hertz, _: plain(tone(hertz), "MP3") + b"APETAGEX" + bytes(24) + ID3V1,
    "mp3 with a file in its tag": lambda hertz, _: with_file_in_tag(plain(tone(hertz), "MP3")),
    "flac with a file in its tag": lambda hertz, _: with_file_in_metadata(plain(tone(hertz), "FLAC")),
}


def with_file_in_tag(data: bytes) -> bytes:
    inside = plain(tone(HIGH), "WAV")[:3000]
    frame = b"GEOB" + bytes(int(part, 2) for part in seven_bits(len(inside))) + b"\x00\x00" + inside
    return b"ID3\x04\x00\x00" + bytes(int(part, 2) for part in seven_bits(len(frame))) + frame + data


def seven_bits(number: int) -> list[str]:
    return [f"{number >> shift & 0x7F:07b}" for shift in (21, 14, 7, 0)]


def with_file_in_metadata(data: bytes) -> bytes:
    inside = b"note" + plain(tone(HIGH), "OGG", "VORBIS")[:3000]
    return data[:42] + b"\x02" + struct.pack(">I", len(inside))[1:] + inside + data[42:]


@pytest.mark.parametrize("name", [*MAKERS, *LAST_ONLY, *ONE])
def test_one_file_is_one(tmp_path: Path, name: str) -> None:
    data = (MAKERS | LAST_ONLY | ONE)[name](LOW, tmp_path)
    assert [(each.start, each.end) for each in sections(io.BytesIO(data))] == [(0, len(data))]
    sound = decode(data)
    assert sound.seconds == pytest.approx(SECONDS, abs=0.5 if name == "wv" else 0.15)  # its encoder's last frame
    assert (sound.cut_short, sound.damaged) == (False, False)
