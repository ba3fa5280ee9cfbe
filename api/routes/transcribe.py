"""POST /api/transcribe: what is said in a recording."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile

from api.intake.bodies import JSON, JsonRecording, json_body, json_recording, kind_of, unpacked
from api.intake.disconnect import while_connected
from api.intake.form_route import FormRoute
from api.intake.problems import SEND_KEY, Problem, no_file
from api.routes import answers
from api.routes.current_worker import engine_of
from api.schemas import examples
from api.schemas.predict import Transcript
from api.security.access import predictor
from api.server.openapi import described

PATH = "/api/transcribe"
_FILE = "The recording: wav, mp3, flac, ogg, m4a, webm and others; half an hour of it unless set otherwise"
_WORDS = "Answer with each word's time and confidence"
_LANGUAGE = "What is spoken; refused where the model does not know it"
_PROBLEMS = [
    Problem(400, "no_file", "no recording was sent; send it as multipart form data in the field 'file'", field="file"),
    Problem(400, "not_base64", "is not base64 (Incorrect padding); send the recording's bytes in base64", field="file"),
    Problem(400, "bad_json", "the body is no JSON: Expecting value: line 1 column 1 (char 0)"),
    *examples.further(400),
    Problem(401, "key_missing", f"this needs a key; {SEND_KEY}"),
    Problem(408, "upload_timeout", "the recording did not arrive within 30 s"),
    Problem(413, "too_large", "more than 33.4 MB were sent; send less"),
    Problem(415, "not_audio", "the file is no sound recording that can be decoded", field="file"),
    Problem(415, "unsupported_media_type", "Content-Type: text/plain is not taken; send a form (multipart/form-data)"),
    Problem(422, "silent", "nothing is heard in the recording; check the microphone and record again", field="file"),
    Problem(422, "no_speech", "nobody is heard to speak in the recording; record speech", field="file"),
    Problem(422, "too_long", "longer than 1800 s; cut it into shorter recordings", field="file"),
    Problem(
        422, "language_not_understood", "asr-2b3c4d5e6f70 understands en, not 'fr'; leave it out", field="language"
    ),
    Problem(429, "rate_limited", "the key 'anna' has made its 60 requests a minute; try again in 1 s"),
    Problem(503, "no_model", "no recogniser is in service yet; train one: `make demo RECIPE=asr`"),
    *examples.further(503),
]
_JSON_BODY: dict[str, Any] = {"schema": JsonRecording.model_json_schema(), "examples": examples.JSON_REQUESTS}

router = APIRouter(tags=["transcription"], route_class=FormRoute)


@router.post(
    PATH,
    response_model=Transcript,
    responses=described(_PROBLEMS),
    dependencies=[Depends(predictor)],
    summary="Write down what is said",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"examples": examples.FORM_REQUESTS}, JSON: _JSON_BODY},
        }
    },
)
async def transcribe(
    request: Request,
    file: Annotated[
        UploadFile | None, File(description=_FILE, json_schema_extra={"format": "binary"}, validate_default=False)
    ] = None,
    words: Annotated[bool, Form(description=_WORDS)] = False,
    language: Annotated[str | None, Form(description=_LANGUAGE, max_length=100)] = None,
) -> Transcript:
    """The text of a recording, sent as a form or in base64 within JSON. Long ones are heard in windows that overlap."""
    recognition = engine_of(request).recognition
    if await kind_of(request) == JSON:
        sent = json_recording(await json_body(request))
        async with unpacked(sent.file, "file", request.app.state.settings.max_upload_bytes) as opened:
            found = await while_connected(request, recognition.transcribe(opened, sent.language))
        return answers.transcript(found, sent.words)
    if file is None:
        raise no_file()
    return answers.transcript(await while_connected(request, recognition.transcribe(file.file, language)), words)
