"""What decodes the files of strangers reaches no server, whatever a file or a fault in a library asks for."""

from __future__ import annotations

import io
import socket
import struct
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from speech.audio.decode import AudioError, decode
from speech.audio.isolated import Decoder
from speech.longform.cutter import Cutter
from speech.process.fork_server import ForkServer
from speech.process.worker import Worker
from tests.long import contained, heard, sentence, written

pytestmark = pytest.mark.long

# Children whose libraries are led astray: by a connection of their own, by FFmpeg, and by a program that they execute.
ASTRAY = {
    "a connection": "socket.create_connection(('127.0.0.1', {port}), 5)",
    "IPv6": "socket.create_connection(('::1', {port}), 5)",
    "a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', {port}))",
    "FFmpeg by http": "av.open('http://127.0.0.1:{port}/a.wav', timeout=5)",
    "FFmpeg by tcp": "av.open('tcp://127.0.0.1:{port}', format='wav', timeout=5)",
    "FFmpeg by a play list": "av.open('{folder}/a.m3u8', format='hls', options=ANY, timeout=5)",
    "FFmpeg by a list of files": "av.open('{folder}/a.txt', format='concat', options=ANY, timeout=5)",
    "a program": (
        "subprocess.run([sys.executable, '-c', "
        "\"import socket; socket.create_connection(('127.0.0.1', {port}), 5)\"], check=True)"
    ),
}
ASTRAY_MAIN = """
import os, socket, subprocess, sys, tempfile
import av
{imported}

ANY = {{"protocol_whitelist": "file,http,tcp", "safe": "0", "allowed_extensions": "ALL"}}

def astray(*_):
    try:
        {call}
    except Exception:
        raise AudioError("not_audio", "refused")
    raise AudioError("not_audio", "reached")

{patched}
"""
SHORT = "import speech.audio.isolated as child\nfrom speech.audio.decode import AudioError"
LONG = "import speech.longform.child as child\nfrom speech.audio.limits import AudioError"


def program(call: str, port: int, folder: Path, imported: str, patched: str) -> list[str]:
    """A child that makes the call where it is to decode."""
    for name, kind in (("a.m3u8", "m3u8"), ("a.txt", "concat")):
        (folder / name).write_bytes(REFERRING[kind](f"http://127.0.0.1:{port}/a.wav"))
    call = call.format(port=port, folder=folder)
    return [sys.executable, "-c", ASTRAY_MAIN.format(call=call, imported=imported, patched=patched)]


@contextmanager
def server() -> Iterator[socket.socket]:
    """A server that listens on both families, of which nothing is expected."""
    made = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    made.settimeout(0.2)
    with made:
        yield made


def untouched(listening: socket.socket) -> bool:
    try:
        listening.accept()[0].close()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("way", ASTRAY)
def test_a_decoder_that_is_led_astray_reaches_nothing(tmp_path: Path, way: str) -> None:
    with server() as listening, Decoder() as decoder:
        port = listening.getsockname()[1]
        command = program(ASTRAY[way], port, tmp_path, SHORT, "child.decode = astray\nchild.main()")
        decoder._worker = Worker(command)
        with pytest.raises(AudioError, match="refused"):
            decoder.decode(b"a file")
        assert untouched(listening)


@pytest.mark.parametrize("way", ["a connection", "FFmpeg by http", "a program"])
def test_a_child_that_hears_hours_reaches_nothing(tmp_path: Path, way: str) -> None:
    path = written(tmp_path / "a.wav", sentence())
    with server() as listening:
        port = listening.getsockname()[1]
        command = program(ASTRAY[way], port, tmp_path, LONG, "child.windows = astray\nchild.main()")
        children = ForkServer(command)
        try:
            with Cutter(path, server=children) as cutter, pytest.raises(AudioError, match="refused"):
                list(cutter)
        finally:
            children.close()
        assert untouched(listening)


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def referring(url: str) -> bytes:
    """An m4a whose samples lie at an address."""
    data = contained(sentence(), "mp4", "aac")
    own, other = box(b"url ", b"\0\0\0\1"), box(b"url ", b"\0\0\0\0", url.encode() + b"\0")
    assert data.count(own) == 1
    grown, place = len(other) - len(own), data.index(own)
    data = bytearray(data.replace(own, other))
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(kind, 0, place) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + grown)
    return bytes(data)


REFERRING = {
    "m3u8": lambda url: f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n".encode(),
    "concat": lambda url: f"ffconcat version 1.0\nfile '{url}'\n".encode(),
    "session description": lambda url: f"v=0\nc=IN IP4 127.0.0.1\nm=audio {url.split(':')[2][:5]} RTP/AVP 0\n".encode(),
    "mp4": referring,
    "wav by name": lambda url: url.encode(),
}


@pytest.mark.parametrize("kind", REFERRING)
def test_a_file_that_names_an_address_is_not_followed(tmp_path: Path, kind: str) -> None:
    with server() as listening:
        data = REFERRING[kind](f"http://127.0.0.1:{listening.getsockname()[1]}/a.wav")
        path = tmp_path / "a.wav"
        path.write_bytes(data)
        for hear in (lambda: decode(data), lambda: _isolated(data), lambda: heard(path)):
            with suppress(AudioError):
                hear()
            assert untouched(listening)


def _isolated(data: bytes) -> None:
    with Decoder() as decoder:
        decoder.decode(data)


def test_sound_is_decoded_as_ever(tmp_path: Path) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes((32767 * sentence()).astype("<i2").tobytes())
    with Decoder() as decoder:
        for data in (file.getvalue(), contained(sentence(), "mp4", "aac"), contained(sentence(), "webm", "libopus")):
            assert (decoder.decode(data).samples == decode(data).samples).all()
    path = written(tmp_path / "a.flac", sentence())
    assert heard(path)[1].seconds == pytest.approx(len(sentence()) / 16_000)
