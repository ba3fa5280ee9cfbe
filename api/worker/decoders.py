"""Decoding beside the event loop, in a few child processes with limits."""

from __future__ import annotations

import io
import wave
from functools import partial
from queue import SimpleQueue
from typing import IO

from api.observe.requests import stage
from api.threads import Threads
from speech.audio.decode import AudioError, AudioLimits, Sound
from speech.audio.isolated import Decoder


class DecoderPool:
    """So many decoders, each in its own process; only as many recordings are in memory at once."""

    def __init__(self, count: int, seconds: float) -> None:
        """`seconds`: how long one recording may take to decode."""
        self._decoders = [Decoder(timeout=seconds) for _ in range(count)]
        self._idle: SimpleQueue[Decoder] = SimpleQueue()
        for decoder in self._decoders:
            self._idle.put(decoder)
        self._threads = Threads(count, "decoder")

    async def decode(self, file: IO[bytes], limits: AudioLimits) -> Sound:
        """Decode an uploaded file, read from where it stands. Raises `speech.audio.decode.AudioError`."""
        with stage("decode"):
            return await self._threads.run(partial(self._decode, file, limits))

    def start(self) -> None:
        """Start the children, so that the first recording need not wait for them."""
        for decoder in self._decoders:
            try:
                decoder.decode(_silence())
            except AudioError as error:
                if error.code != "silent":
                    raise

    def close(self) -> None:
        """End the threads, then the children: what takes longer to decode breaks off."""
        self._threads.close()
        for decoder in self._decoders:
            decoder.close()

    def _decode(self, file: IO[bytes], limits: AudioLimits) -> Sound:
        decoder = self._idle.get()
        try:
            return decoder.decode(file.read(), limits)
        finally:
            self._idle.put(decoder)


def _silence() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(16_000))
    return buffer.getvalue()
