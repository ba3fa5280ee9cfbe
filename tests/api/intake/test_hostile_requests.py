"""Requests made to cost more than they are worth: each is refused by its own name, and the service goes on."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient

from speech.home import Home
from speech.serving.pointer import publish
from tests.api.conftest import SETTINGS, ended, started
from tests.bundles import write_tiny_bundle
from tests.recordings import encoded, hum

SPEECH = encoded(hum(1.0))
HOUR = 3600.0  # seconds
BOUNDARY = {"content-type": "multipart/form-data; boundary=x"}


def silence_in_flac(seconds: float, rate: int = 8_000) -> bytes:
    file = io.BytesIO()
    second = np.zeros(rate, dtype=np.int16)
    with soundfile.SoundFile(file, "w", rate, 1, "PCM_16", format="FLAC") as writer:
        for _ in range(int(seconds)):
            writer.write(second)
    return file.getvalue()


def silence_in_packets(kind: str, codec: str, seconds: float, rate: int) -> bytes:
    """One packet of silence, over and over: it takes no time to make and few bytes to send."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        container.start_encoding()  # only then is the frame size known
        size = stream.codec_context.frame_size
        silent = np.zeros((1, size), dtype=np.float32)
        packets: list[av.Packet] = []
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(
                silent if stream.format.name.startswith("flt") else silent.astype(np.int16),
                format=stream.format.name,
                layout="mono",
            )
            frame.sample_rate, frame.pts = rate, number * size
            packets += stream.encode(frame)
        payload, duration, base = bytes(packets[-1]), packets[-1].duration, packets[-1].time_base
        assert duration
        for number in range(int(seconds * rate / size)):
            packet = av.Packet(payload)
            packet.stream, packet.time_base = stream, base
            packet.pts = packet.dts = number * duration
            packet.duration = duration
            container.mux(packet)
    return file.getvalue()


def pcm_in_matroska(rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.ones((1, rate), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def wav(rate: int = 16_000, channels: int = 1, frames: int = 16_000) -> bytes:
    """A header that says so, and frames of sound."""
    size = frames * channels * 2
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (1).to_bytes(2, "little") + channels.to_bytes(2, "little") + rate.to_bytes(4, "little")
    header += min(rate * channels * 2, 2**32 - 1).to_bytes(4, "little") + (channels * 2).to_bytes(2, "little")
    header += (16).to_bytes(2, "little") + b"data" + size.to_bytes(4, "little")
    return header + np.random.default_rng(0).integers(-9_000, 9_000, frames * channels, dtype=np.int16).tobytes()


def send(client: TestClient, data: bytes, name: str = "a.wav", **more: Any) -> Any:
    return client.post("/api/predict", files={"file": (name, data)}, **more)


def refusal(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    return response.status_code, response.json()["code"]


def part(name: str, data: bytes = b"1", filename: str | None = None, headers: bytes = b"") -> bytes:
    said = f'--x\r\nContent-Disposition: form-data; name="{name}"'
    said += "" if filename is None else f'; filename="{filename}"'
    return said.encode() + b"\r\n" + headers + b"\r\n" + data + b"\r\n"


def post(client: TestClient, *parts: bytes) -> Any:
    return client.post("/api/predict", content=b"".join(parts) + b"--x--\r\n", headers=BOUNDARY)


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: silence_in_flac(HOUR),
        lambda: silence_in_packets("ogg", "libopus", HOUR, 48_000),
        lambda: silence_in_packets("mp4", "aac", 2 * HOUR, 8_000),
    ],
    ids=["flac", "ogg", "m4a"],
)
def test_a_small_file_that_decodes_to_hours_is_too_long(
    client: TestClient, app: FastAPI, bomb: Callable[[], bytes]
) -> None:
    data = bomb()
    assert len(data) < SETTINGS.max_upload_bytes
    child = app.state.engine._decoders._decoders[0]._worker.pid
    assert refusal(send(client, data)) == (422, "too_long")
    assert app.state.engine._decoders._decoders[0]._worker.pid == child  # refused, and not by running out of anything
    assert send(client, SPEECH).status_code == 200


@pytest.mark.parametrize("channels", [9, 255, 1_024])
def test_many_channels_are_refused(client: TestClient, channels: int) -> None:
    assert refusal(send(client, wav(channels=channels, frames=400))) == (422, "too_many_channels")


def test_eight_channels_are_taken(client: TestClient) -> None:
    assert send(client, wav(channels=8)).status_code == 200


@pytest.mark.parametrize("rate", [1, 3_999, 384_001, 2_000_000_000])
def test_absurd_sample_rates_are_refused(client: TestClient, rate: int) -> None:
    assert refusal(send(client, wav(rate=rate))) == (422, "bad_sample_rate")


def test_absurd_sample_rates_are_refused_in_containers_too(client: TestClient) -> None:
    assert refusal(send(client, pcm_in_matroska(400_000))) == (422, "bad_sample_rate")


@pytest.mark.parametrize(
    "make",
    [lambda: encoded(hum(19.0), "FLAC"), lambda: silence_in_packets("mp4", "aac", 19.0, 16_000)],
    ids=["flac", "m4a"],
)
def test_sound_that_would_fill_memory_is_refused(data_home: Home, make: Callable[[], bytes]) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    publish(data_home, "tiny-1")
    app = started(data_home, SETTINGS.model_copy(update={"max_decoded_bytes": 1_000_000}))
    try:
        with TestClient(app) as client:
            assert refusal(send(client, make())) == (422, "decodes_too_large")
            assert send(client, SPEECH).status_code == 200
    finally:
        ended(app)


def test_a_form_of_thousands_of_fields_is_refused(client: TestClient) -> None:
    fields = [part(f"field{number}") for number in range(5_000)]
    assert refusal(post(client, part("file", SPEECH, "a.wav"), *fields)) == (400, "too_many_fields")
    encoded_form = "&".join(f"field{number}=1" for number in range(5_000))
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert refusal(client.post("/api/predict", content=encoded_form, headers=kind)) == (400, "too_many_fields")


def test_a_form_of_many_files_is_refused(client: TestClient) -> None:
    files = [part(f"file{number}", b"1", "a.wav") for number in range(100)]
    assert refusal(post(client, *files)) == (400, "too_many_files")


def test_a_part_of_thousands_of_headers_is_refused(client: TestClient) -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(5_000))
    assert refusal(post(client, part("file", SPEECH, "a.wav", many))) == (400, "part_headers_too_large")
    assert refusal(post(client, part("file", SPEECH, "a.wav", b"X: " + b"1" * 9_000 + b"\r\n"))) == (
        400,
        "part_headers_too_large",
    )


def test_a_large_field_is_refused(client: TestClient) -> None:
    response = post(client, part("text", b"a" * 100_000), part("file", SPEECH, "a.wav"))
    assert refusal(response) == (400, "field_too_large")


def test_a_field_of_100_megabytes_is_refused(client: TestClient) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
        for _ in range(100):
            yield b"a" * 1_000_000
        yield b"\r\n--x--\r\n"

    status, code = refusal(client.post("/api/predict", content=body(), headers=BOUNDARY))
    assert (status, code) in {(400, "field_too_large"), (413, "too_large")}  # whichever is reached first


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "C:\\a.wav", "a\0.wav", "%00", "|id", "a" * 4_000]
)
def test_what_a_file_is_called_is_never_used(client: TestClient, name: str) -> None:
    assert post(client, part("file", SPEECH, name)).status_code == 200


def test_a_name_of_ten_thousand_letters_is_refused(client: TestClient) -> None:
    assert refusal(post(client, part("file", SPEECH, "a" * 10_000))) == (400, "part_headers_too_large")


@pytest.fixture
def visited() -> Iterator[tuple[str, list[str]]]:
    """A web server, and what it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SPEECH)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


def test_addresses_are_never_fetched(client: TestClient, visited: tuple[str, list[str]]) -> None:
    url, paths = visited
    assert refusal(post(client, part("file", f"{url}/text".encode()))) == (400, "not_a_file")
    for form in ("{0}", "#EXTM3U\n#EXTINF:1,\n{0}\n", "ffconcat version 1.0\nfile {0}\n", "[playlist]\nFile1={0}\n"):
        for name in ("a.wav", "a.m3u8", f"{url}/name"):
            assert refusal(send(client, form.format(f"{url}/a.wav").encode(), name)) == (415, "not_audio")
    assert paths == []
