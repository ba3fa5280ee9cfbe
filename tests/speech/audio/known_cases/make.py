"""Makes the recordings of this folder from a spoken sentence: `python -m tests.speech.audio.known_cases.make`.

`comfort_noise.amr` is not made here: nothing that is installed encodes AMR. Its frames are those of a telephone's
encoder, some of them exchanged for the types 8 (comfort noise) and 15 (nothing).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from tests.long import sentence

FOLDER = Path(__file__).resolve().parent
RATE = 16_000


def damaged(data: bytes, at: float, count: int = 60) -> bytes:
    """A file of which `count` bytes from that share on are random."""
    start = int(len(data) * at)
    return data[:start] + np.random.default_rng(0).bytes(count) + data[start + count :]


def plain(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    """Samples (n,) or (n, channels) at 16 kHz as a file of libsndfile's, at that rate."""
    file = io.BytesIO()
    soundfile.write(file, soxr.resample(samples, RATE, rate), rate, format=kind, subtype=subtype)
    return file.getvalue()


def contained(samples: np.ndarray, path: Path, kind: str, codec: str, rate: int, **options: str) -> bytes:
    """Samples (n,) at 16 kHz in a container of FFmpeg's, which writes it to `path`."""
    resampled = soxr.resample(samples, RATE, rate)
    return contained_tracks([resampled], path, kind, codec, rate, **options)


def contained_tracks(
    tracks: Sequence[np.ndarray], path: Path, kind: str, codec: str, rate: int = RATE, **options: str
) -> bytes:
    """Samples (n,) at that rate, a sound track each."""
    with av.open(str(path), "w", format=kind, options=options) as container:
        streams = []
        for _ in tracks:
            stream = container.add_stream(codec, rate=rate, layout="mono", options={"b": "32000"})
            assert isinstance(stream, av.AudioStream)
            stream.bit_rate = 32_000
            if codec == "alac":
                stream.codec_context.format = av.AudioFormat("s16p")  # as telephones write it
            streams.append(stream)
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            queue = av.AudioFifo()
            for part in av.AudioResampler(stream.codec_context.format, "mono", rate).resample(frame):
                queue.write(part)
            while encodable := queue.read(stream.codec_context.frame_size or 960):
                container.mux(stream.encode(encodable))
            container.mux(stream.encode(None))
    data = path.read_bytes()
    path.unlink()
    return data


def main() -> None:
    city = sentence("city")
    scratch = FOLDER / "scratch"
    m4a = contained(city, scratch, "mp4", "aac", 48_000, movflags="faststart")
    fragments = contained(
        city, scratch, "mp4", "aac", 48_000, movflags="frag_keyframe+empty_moov", frag_duration="400000"
    )
    wma = contained(city, scratch, "asf", "wmav2", 44_100)
    aac = contained(city, scratch, "adts", "aac", 48_000)
    flac, mp3 = plain(city, "FLAC", rate=8_000), plain(city, "MP3")
    vorbis = plain(city, "OGG", "VORBIS", 8_000)
    opus, tag = plain(city, "OGG", "OPUS"), b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    stereo = np.stack([city, city], axis=1)
    files = {
        "damaged.m4a": damaged(m4a, 0.7),
        "damaged_fragments.mp4": damaged(fragments, 0.5),
        "damaged.wma": damaged(wma, 0.5, 800),
        "damaged.aac": damaged(aac, 0.4),
        "damaged.flac": damaged(flac, 0.5),
        "damaged.mp3": damaged(mp3, 0.5, 600),
        "damaged.ogg": damaged(vorbis, 0.5),
        "chained_opus.ogg": opus + opus,
        "chained_rates.ogg": vorbis + plain(city, "OGG", "VORBIS", 16_000) + opus,
        "joined.mp3": mp3 + tag + plain(stereo, "MP3", rate=22_050),
        "joined.aac": aac + contained(city, scratch, "adts", "aac", 16_000),
        "joined.flac": flac + plain(stereo, "FLAC", rate=11_025),
        "joined.wav": plain(city, "WAV", "ULAW", 8_000) + plain(city, "WAV", "ULAW", 16_000),
        "joined.webm": 2 * contained(city, scratch, "webm", "libopus", 48_000),
        "joined.m4a": m4a + fragments,
        "cut.m4a": m4a[: len(m4a) * 6 // 10],
        "cut_fragments.mp4": fragments[: len(fragments) * 6 // 10],
        "cut.wma": wma[: len(wma) * 6 // 10],
        "cut.flac": flac[: len(flac) * 6 // 10],
    }
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
