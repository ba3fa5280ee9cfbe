"""POST /api/predict: which speech defects a recording shows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile

from api.intake.disconnect import while_connected
from api.intake.form_route import FormRoute
from api.intake.problems import SEND_KEY, Problem
from api.routes import answers
from api.routes.current_worker import engine_of
from api.schemas import examples
from api.schemas.predict import Prediction
from api.security.access import predictor
from api.server.openapi import described
from speech.audio.waveform import MOST_PEAKS

PATH = "/api/predict"
_FILE = "The recording: wav, mp3, flac, ogg, m4a, webm and others"
_TEXT = "What was read aloud, if it is known: its words get times, and places the words they fall on"
_WORDS = "Where no text is sent, have Whisper hear the words. Slower, and its times are rough where speech is broken"
_PEAKS = "How many pairs of least and greatest value `peaks` is to hold; 0: none"
_PROBLEMS = [
    Problem(400, "no_file", "no recording was sent; send it as multipart form data in the field 'file'"),
    *examples.further(400),
    Problem(401, "key_missing", f"this needs a key; {SEND_KEY}"),
    Problem(408, "upload_timeout", "the recording did not arrive within 30 s"),
    *examples.further(408),
    Problem(413, "too_large", "more than 25.1 MB were sent; send less"),
    Problem(415, "not_audio", "the file is no sound recording that can be decoded"),
    Problem(422, "no_speech", "nobody is heard to speak in the recording; record speech"),
    Problem(422, "silent", "nothing is heard in the recording; check the microphone and record again"),
    *examples.further(422),
    Problem(429, "rate_limited", "the key 'anna' has made its 60 requests a minute; try again in 1 s"),
    Problem(501, "no_whisper", "Whisper is not installed; run `make setup` where the service runs"),
    examples.NO_MODEL,
    *examples.further(503),
]

router = APIRouter(route_class=FormRoute)


@router.post(
    PATH,
    response_model=Prediction,
    responses=described(_PROBLEMS),
    dependencies=[Depends(predictor)],
    tags=["diagnosis"],
    summary="Diagnose a recording",
    openapi_extra={"requestBody": {"content": {"multipart/form-data": {"examples": examples.REQUESTS}}}},
)
async def predict(
    request: Request,
    file: Annotated[UploadFile, File(description=_FILE, json_schema_extra={"format": "binary"})],  # a button in Swagger
    device: Annotated[str | None, Form(description="Taken from older clients and ignored")] = None,
    text: Annotated[str | None, Form(description=_TEXT, max_length=5000)] = None,
    words: Annotated[bool, Form(description=_WORDS)] = False,
    peaks: Annotated[int, Form(description=_PEAKS, ge=0, le=MOST_PEAKS)] = 400,
) -> Prediction:
    """Which speech defect the recording shows: a verdict per defect, and the calibrated probability of each class."""
    judgement = await while_connected(request, engine_of(request).diagnose(file.file, text, words, peaks))
    return answers.prediction(judgement)
