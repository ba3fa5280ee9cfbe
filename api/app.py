"""The HTTP application: routes and nothing else. What they do stands in `api.worker.engine`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, Response, UploadFile
from fastapi.routing import APIRoute
from starlette.routing import Match

from api.intake import forms, problems
from api.intake.bodies import body_bytes
from api.intake.disconnect import engine_of, while_connected
from api.intake.limits import Admission, BodyLimit
from api.intake.problems import Problem
from api.observe.metrics import Measured, exposition
from api.observe.requests import Followed
from api.routes import administration, batches, drift, history, models, openai, transcribe, vertex
from api.schemas import answers, examples
from api.schemas.predict import Health, ModelCard, Prediction, RecogniserCard
from api.security.access import HOW, Access, Door, administrator, predictor
from api.server import docs
from api.server.openapi import Documented, described, operation_id
from api.settings import ServiceSettings
from speech.audio.waveform import MOST_PEAKS
from speech.home import Home

PREFIX = "/api"
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
FRAMING_BYTES = 64 << 10  # what a multipart body holds besides the recording: boundaries, names, small fields
DESCRIPTION = """Hears speech defects in a recording: send a file to `/api/predict`. Writes down what is said: send one
to `/api/transcribe`, or have OpenAI's clients send it to `/v1/audio/transcriptions`.

Failures are problem documents (RFC 9457, `application/problem+json`) with a `code` for machines and a `detail` for
people. `/livez`, `/readyz` and `/metrics` are for whoever watches the service."""

TAGS = [  # in the order in which Swagger UI shows them
    {"name": "diagnosis", "description": "What a recording sounds like"},
    {"name": "transcription", "description": "What is said in a recording"},
    {"name": "batches", "description": "Archives of calls, judged in the background"},
    {"name": "service", "description": "Which bundles there are, which one answers, and how it is"},
    {"name": "administration", "description": "What changes the service; needs the role admin"},
]

_FILE = "The recording: wav, mp3, flac, ogg, m4a, webm and others"
_TEXT = "What was read aloud, if it is known: its words get times, and places the words they fall on"
_WORDS = "Where no text is sent, have Whisper hear the words. Slower, and its times are rough where speech is broken"
_PEAKS = "How many pairs of least and greatest value `peaks` is to hold; 0: none"

_EXAMPLES = {
    problem.status_code: problem
    for problem in (
        Problem(400, "no_file", "no recording was sent; send it as multipart form data in the field 'file'"),
        Problem(401, "key_missing", f"this needs a key; {HOW}"),
        Problem(408, "upload_timeout", "the recording did not arrive within 30 s"),
        Problem(413, "too_large", "more than 25.1 MB were sent; send less"),
        Problem(415, "not_audio", "the file is no sound recording that can be decoded"),
        Problem(422, "silent", "nothing is heard in the recording; check the microphone and record again"),
        Problem(429, "rate_limited", "the key 'anna' has made its 60 requests a minute; try again in 1 s"),
        Problem(501, "no_whisper", "Whisper is not installed; run `make setup` where the service runs"),
        Problem(503, "no_model", "no model is in service yet; train one: `make demo`"),
    )
}

router = APIRouter()
ROUTERS = (
    administration.router,
    models.router,
    history.router,
    drift.router,
    batches.router,
    transcribe.router,
    openai.router,
    router,
)  # in this order: the last one answers whatever is left


def build_app(settings: ServiceSettings, home: Home, vertex_routes: vertex.VertexRoutes | None = None) -> FastAPI:
    """The application; a worker sets `app.state.engine` before it takes requests. `vertex_routes`: where Vertex AI
    asks, in a container of it."""
    app = Documented(
        title="Vnyatno",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        openapi_tags=TAGS,
        form_limits=forms.limits(settings),
        generate_unique_id_function=operation_id,
        lifespan=_closing,
    )
    app.state.engine = None
    app.state.access = Access(settings, home)
    app.state.settings = settings
    problems.install(app)
    docs.install(app, PREFIX)
    if vertex_routes:
        app.include_router(vertex.router(vertex_routes))
    for routes in ROUTERS:
        app.include_router(routes)
    packed = [transcribe.PATH, *([vertex_routes.predict] if vertex_routes else [])]
    transcribing = [*packed, openai.PATH]
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_upload_bytes + FRAMING_BYTES,
        seconds=settings.upload_seconds,
        others={
            batches.PATH: (settings.batch_bytes + FRAMING_BYTES, settings.batch_upload_seconds),
            **dict.fromkeys(packed, (body_bytes(settings.max_upload_bytes) + FRAMING_BYTES, settings.upload_seconds)),
        },
    )
    app.add_middleware(Admission, paths=[f"{PREFIX}/predict"], most=settings.max_requests)
    app.add_middleware(Admission, paths=transcribing, most=settings.transcriptions)
    app.add_middleware(Admission, paths=[batches.PATH], most=settings.batch_uploads)
    access: Access = app.state.access
    predicting = dict.fromkeys([f"{PREFIX}/predict", *transcribing], access.predictor)
    app.add_middleware(Door, asks={**predicting, batches.PATH: access.owner})
    app.add_middleware(Measured)
    app.add_middleware(Followed)
    return app


@asynccontextmanager
async def _closing(app: FastAPI) -> AsyncIterator[None]:
    """What the application opened by itself ends with it; the engine is its worker's to close."""
    yield
    app.state.access.close()


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    shown = (problem for status in statuses for problem in (_EXAMPLES[status], *examples.further(status)))
    return described(list(shown))


@router.post(
    f"{PREFIX}/predict",
    response_model=Prediction,
    responses=_problems(400, 401, 408, 413, 415, 422, 429, 501, 503),
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


@router.get(
    f"{PREFIX}/model",
    response_model=ModelCard | RecogniserCard,
    responses=_problems(400, 503),
    tags=["service"],
    summary="The bundle in service",
)
async def model(request: Request, recipe: models.OfRecipe = "defects") -> ModelCard | RecogniserCard:
    """Which bundle answers, what it tells apart, how it scored, and whether a newer one was refused."""
    engine = engine_of(request)
    return engine.recognition.card() if recipe == "asr" else engine.card()


@router.get(f"{PREFIX}/health", response_model=Health, tags=["service"], summary="How this worker is")
async def health(request: Request) -> Health:
    """Whether a model is in service, and whether a newer bundle was refused; always 200 while the service lives."""
    return engine_of(request).health()


@router.get("/metrics", dependencies=[Depends(administrator)], include_in_schema=False)
def metrics() -> Response:
    """All workers' figures for Prometheus."""
    text, media_type = exposition()
    return Response(text, media_type=media_type)


@router.api_route(PREFIX + "/{rest:path}", methods=EVERY_METHOD, include_in_schema=False)
@router.api_route("/v1/{rest:path}", methods=EVERY_METHOD, include_in_schema=False)
async def unknown(request: Request) -> Response:
    """BentoML would answer for what this application does not know; below /api every answer has one form, and below
    /v1 another."""
    known = (route for routes in ROUTERS for route in routes.routes)
    others = (route for route in known if isinstance(route, APIRoute) and route.endpoint is not unknown)
    matching = (route.methods or set() for route in others if route.matches(request.scope)[0] is Match.PARTIAL)
    allowed = sorted(set().union(*matching))
    if allowed:
        methods = ", ".join(allowed)
        raise Problem(405, "method_not_allowed", f"{request.url.path} takes {methods}", {"Allow": methods})
    raise Problem(404, "not_found", f"there is nothing at {request.url.path}; see {PREFIX}/docs/")
