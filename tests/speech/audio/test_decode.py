"""The one decoder: formats, rates, channels, and each refusal, on real files."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

from speech.audio.decode import SAMPLE_RATE, AudioError, AudioLimits, Levels, decode, measure

HERTZ = 440


def tone(seconds: float = 1.0, rate: int = SAMPLE_RATE, level: float = 0.3) -> np.ndarray:
    """A sine of 440 Hz, float32 (n,)."""
    return (level * np.sin(2 * np.pi * HERTZ * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = SAMPLE_RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def contained(kind: str, codec: str, seconds: float = 1.0, rate: int = 48_000, layout: str = "stereo") -> bytes:
    """What a telephone or a browser records: compressed sound in a container."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        left = (tone(seconds, rate) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(left, stream.channels).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        queue = av.AudioFifo()
        queue.write(frame)
        while part := queue.read(stream.codec_context.frame_size or 960):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


def refused(data: bytes, **limits: float) -> str:
    with pytest.raises(AudioError) as caught:
        decode(data, AudioLimits(**limits))  # type: ignore[arg-type]
    assert str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "subtype", "rate"),
    [
        ("WAV", "PCM_16", 16_000),
        ("WAV", "PCM_24", 44_100),
        ("WAV", "PCM_U8", 8_000),
        ("WAV", "FLOAT", 48_000),
        ("FLAC", "PCM_24", 48_000),
        ("OGG", "VORBIS", 22_050),
        ("OGG", "OPUS", 48_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
        ("AIFF", "PCM_16", 11_025),
        ("CAF", "ALAC_16", 32_000),
    ],
)
def test_formats_of_libsndfile_come_out_as_mono_16_khz(kind: str, subtype: str, rate: int) -> None:
    sound = decode(encoded(tone(rate=rate), rate, kind, subtype))
    assert sound.samples.dtype == np.float32
    assert sound.samples.ndim == 1
    assert sound.seconds == pytest.approx(1.0, abs=0.01)
    assert (sound.source_rate, sound.source_channels) == (rate, 1)
    assert loudest_hertz(sound.samples) == pytest.approx(HERTZ, abs=3)
    assert sound.quality.level_dbfs == pytest.approx(-13.5, abs=0.3)


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "aac"), ("webm", "libopus"), ("adts", "aac"), ("3gp", "aac")])
def test_containers_of_telephones_and_browsers(kind: str, codec: str) -> None:
    sound = decode(contained(kind, codec))
    assert sound.seconds == pytest.approx(1.0, abs=0.05)
    assert (sound.source_rate, sound.source_channels) == (48_000, 2)
    assert loudest_hertz(sound.samples) == pytest.approx(HERTZ, abs=3)


def test_16_bit_wav_at_16_khz_is_not_changed() -> None:
    whole = (tone() * 32767).astype(np.int16)
    assert np.array_equal(decode(encoded(whole)).samples * 32768, whole)


def test_stereo_at_8_khz_with_a_dead_channel_is_heard_and_resampled() -> None:
    left = tone(rate=8_000)
    sound = decode(encoded(np.stack([left, np.zeros_like(left)], axis=1), 8_000))
    assert (sound.source_rate, sound.source_channels) == (8_000, 2)
    assert sound.seconds == pytest.approx(1.0)
    assert sound.quality.peak_dbfs == pytest.approx(20 * np.log10(0.3), abs=0.2)


def test_opposite_channels_do_not_cancel() -> None:
    found = decode(encoded(np.stack([tone(), -tone()], axis=1))).samples
    assert min(np.abs(found - tone()).max(), np.abs(found + tone()).max()) < 1e-3


def test_a_path_is_read_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(encoded(tone()))
    assert np.array_equal(decode(path).samples, decode(path.read_bytes()).samples)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(encoded(tone(), kind="FLAC"))
    assert decode(path).seconds == 1.0


def test_empty_file() -> None:
    assert refused(b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"file,label\na.mp3,none\n" * 50,
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        np.random.default_rng(0).bytes(5_000),
        b"1\n00:00:01,000 --> 00:00:02,000\nhi\n",
    ],
    ids=["text", "picture", "noise", "subtitles"],
)
def test_what_is_no_sound(data: bytes) -> None:
    assert refused(data) == "not_audio"


def test_lists_of_other_files_are_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "private.wav"
    other.write_bytes(encoded(tone()))
    assert (
        refused(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n".encode())
        == "not_audio"
    )
    assert refused(f"ffconcat version 1.0\nfile 'file://{other}'\n".encode()) == "not_audio"


def test_a_session_description_opens_no_port() -> None:
    start = time.monotonic()
    description = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    assert refused(description.encode()) == "not_audio"
    assert time.monotonic() - start < 5  # FFmpeg would listen for ten seconds


def test_an_unknown_way_of_packing_sound() -> None:
    assert refused(contained("webm", "libopus").replace(b"A_OPUS", b"A_XXXX")) == "not_audio"


def test_channels_that_change_midway() -> None:
    whole = contained("adts", "aac", layout="mono") + contained("adts", "aac", layout="stereo")
    assert decode(whole).seconds == pytest.approx(2.0, abs=0.15)


def test_damaged_files_are_decoded_or_refused_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    whole = [encoded(tone(), kind=kind) for kind in ("WAV", "FLAC", "OGG", "MP3")]
    whole += [contained("mp4", "aac"), contained("webm", "libopus")]
    for number in range(120):
        damaged = bytearray(whole[number % len(whole)])
        for place in rng.integers(0, min(len(damaged), 400), rng.integers(1, 20)):
            damaged[place] = rng.integers(256)
        with suppress(AudioError):
            assert len(decode(bytes(damaged)).samples) > 0


def test_ten_milliseconds() -> None:
    assert refused(encoded(tone(0.01))) == "too_short"


def test_header_without_sound() -> None:
    assert refused(encoded(tone())[:44]) == "too_short"


def test_one_sample_too_many() -> None:
    assert decode(encoded(tone(2.0)), AudioLimits(max_seconds=2.0)).seconds == 2.0
    assert refused(encoded(tone(2.0 + 1 / SAMPLE_RATE)), max_seconds=2.0) == "too_long"


def test_too_long_in_a_container() -> None:
    assert refused(contained("mp4", "aac", seconds=3.0), max_seconds=2.0) == "too_long"


def test_too_many_bytes() -> None:
    assert refused(encoded(tone()), max_bytes=1_000) == "too_large"


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence(level: float) -> None:
    assert refused(encoded(tone(level=level))) == "silent"


def test_values_that_are_no_numbers() -> None:
    samples = tone()
    samples[100] = np.nan
    assert refused(encoded(samples, subtype="FLOAT")) == "not_audio"


def test_a_cut_recording_gives_what_is_left() -> None:
    assert decode(encoded(tone())[:20_000]).seconds == pytest.approx(0.62, abs=0.01)


def test_a_cut_mp3_is_measured_by_what_decodes_not_by_its_header() -> None:
    whole = encoded(tone(4.0), kind="MP3")
    assert 1.0 < decode(whole[: len(whole) // 2]).seconds < 3.0


def test_an_mp3_is_heard_beyond_what_its_tag_says() -> None:
    one = encoded(tone(2.0), kind="MP3")
    assert soundfile.info(io.BytesIO(one + one)).duration < 2.5  # libsndfile goes by the first tag
    assert decode(one + one).seconds == pytest.approx(4.0, abs=0.2)
    assert np.abs(decode(one).samples - soundfile.read(io.BytesIO(one), dtype="float32")[0]).max() < 1e-4


def test_quality_counts_clipping_and_silence() -> None:
    square = np.sign(tone(level=1.0) + 1e-6).astype(np.float32)
    samples = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), square])
    quality = measure(samples)
    assert quality.clipped_share == 0.5
    assert quality.silent_share == 0.5
    assert quality.peak_dbfs == 0.0
    assert quality.level_dbfs == pytest.approx(-3.01, abs=0.01)


def test_quality_of_a_sound_shorter_than_a_frame() -> None:
    assert measure(0.5 * (-1.0) ** np.arange(10, dtype=np.float32)).silent_share == 0.0


def test_quality_of_pieces_is_that_of_the_whole() -> None:
    samples = np.concatenate([tone(0.71), np.zeros(4_321, np.float32), np.ones(99, np.float32)])
    levels = Levels()
    for piece in np.split(samples, [1, 1, 400, 9_999]):
        levels.add(piece)
    assert levels.quality().as_dict() == pytest.approx(measure(samples).as_dict())


def test_resampling_keeps_the_length() -> None:
    for rate in (8_000, 11_025, 44_100, 96_000):
        assert len(decode(encoded(tone(rate=rate), rate)).samples) == len(
            soxr.resample(tone(rate=rate), rate, SAMPLE_RATE)
        )


def test_it_says_in_which_codec_a_file_is(tmp_path: Path) -> None:
    told = {}
    for suffix, subtype in (("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)):
        path = tmp_path / f"clip.{suffix}"
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000, subtype=subtype)
        told[suffix] = decode(path).codec
    assert told == {"wav": "wav/pcm_16", "flac": "flac/pcm_16", "ogg": "ogg/vorbis", "mp3": "mp3/mp3float"}
