"""Recordings in every format that people send, through the whole application."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.recordings import babble, encoded

SPEECH = babble(8, 4.0)
SECONDS = len(SPEECH) / 16_000
# Container and codec as FFmpeg calls them, hertz, channels.
FORMATS = {
    "wav": ("wav", "pcm_s16le", 44_100, "stereo"),
    "wav of 24 bits": ("wav", "pcm_s24le", 48_000, "mono"),
    "telephone wav": ("wav", "pcm_s16le", 8_000, "mono"),
    "telephone wav, A-law": ("wav", "pcm_alaw", 8_000, "mono"),
    "telephone wav, mu-law": ("wav", "pcm_mulaw", 8_000, "mono"),
    "mp3": ("mp3", "libmp3lame", 44_100, "stereo"),
    "flac": ("flac", "flac", 48_000, "mono"),
    "opus": ("ogg", "libopus", 48_000, "mono"),
    "m4a": ("ipod", "aac", 44_100, "stereo"),
    "webm": ("webm", "libopus", 48_000, "mono"),
}


def written(container: str, codec: str, rate: int, layout: str) -> bytes:
    """`SPEECH` as FFmpeg's libraries write it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(SPEECH[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = 16_000
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or 1024)
        for whole in (frame, None):
            for piece in resampler.resample(whole):
                file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("name", [*FORMATS, "ogg, Vorbis"])
def test_every_format_is_answered_alike(client: TestClient, name: str) -> None:
    # FFmpeg's own encoder of Vorbis is an experiment, libsndfile's is not.
    data = written(*FORMATS[name]) if name in FORMATS else encoded(SPEECH, "OGG")
    response = client.post("/api/predict", files={"file": ("recording", data)}, data={"device": "cpu"})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["duration"] == pytest.approx(SECONDS, abs=0.15)
    assert sum(answer["predict_proba"]) == pytest.approx(1.0)
    assert answer["quality"]["peak_dbfs"] == pytest.approx(-6.0, abs=4.0)  # FFmpeg gives each of two channels 3 dB less
    assert abs(answer["tempo"]["syllables"] - 8) <= 1
    codes = {warning["code"] for warning in answer["warnings"]}
    assert codes == ({"telephone_band"} if "telephone" in name else set())
