"""The HTTP application, put together: routes from `api.routes`, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from api.intake import forms, problems
from api.intake.bodies import body_bytes
from api.intake.limits import Admission, BodyLimit
from api.observe.metrics import MetricsMiddleware
from api.observe.requests import RequestLogMiddleware
from api.routes import (
    administration,
    batches,
    drift,
    health,
    history,
    inventory,
    metrics,
    model_card,
    openai,
    predict,
    transcribe,
    unknown,
    vertex,
)
from api.security.access import Access, AccessMiddleware
from api.server import docs
from api.server.cross_origin import allow_origins
from api.server.openapi import Documented, operation_id
from api.settings import ServiceSettings, VertexRoutes
from speech.home import Home

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

ROUTERS = (  # the order of OpenAPI's paths
    administration.router,
    inventory.router,
    history.router,
    drift.router,
    batches.router,
    transcribe.router,
    openai.router,
    predict.router,
    model_card.router,
    health.router,
    metrics.router,
)


class Application(Documented):
    """The application behind all that stands before it."""

    def build_middleware_stack(self) -> ASGIApp:
        """Outermost are the headers that let pages of other sites read answers, so that they can read failures, too."""
        return allow_origins(super().build_middleware_stack(), self.state.settings.cors_origins)


def build_app(settings: ServiceSettings, home: Home, vertex_routes: VertexRoutes | None = None) -> FastAPI:
    """The application; a worker sets `app.state.engine` before it takes requests. `vertex_routes`: where Vertex AI
    asks, in a container of it."""
    app = Application(
        title="Vnyatno",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        openapi_tags=TAGS,
        form_limits=forms.limits(settings),
        generate_unique_id_function=operation_id,
        lifespan=_closing,
    )
    app.state.engine = None
    app.state.access = Access(settings, home)
    app.state.settings = settings
    problems.install(app)
    docs.install(app, "/api")
    if vertex_routes:
        app.include_router(vertex.router(vertex_routes))
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(unknown.router(ROUTERS))  # the last one: it answers whatever is left
    _stand_before(app, settings, vertex_routes)
    return app


def _stand_before(app: FastAPI, settings: ServiceSettings, vertex_routes: VertexRoutes | None) -> None:
    """Add the middlewares, the innermost first: limits of bodies, places, keys, metrics, the request's own record."""
    packed = [transcribe.PATH, *([vertex_routes.predict] if vertex_routes else [])]  # a recording may come in base64
    transcribing = [*packed, openai.PATH]
    usual = settings.max_upload_bytes + FRAMING_BYTES, settings.upload_seconds
    in_base64 = body_bytes(settings.max_upload_bytes) + FRAMING_BYTES, settings.upload_seconds
    of_batches = settings.batch_bytes + FRAMING_BYTES, settings.batch_upload_seconds
    others = {batches.PATH: of_batches, **dict.fromkeys(packed, in_base64)}
    app.add_middleware(BodyLimit, max_bytes=usual[0], seconds=usual[1], others=others)
    app.add_middleware(Admission, paths=[predict.PATH], most=settings.max_requests)
    app.add_middleware(Admission, paths=transcribing, most=settings.transcriptions)
    app.add_middleware(Admission, paths=[batches.PATH], most=settings.batch_uploads)
    access: Access = app.state.access
    predicting = dict.fromkeys([predict.PATH, *transcribing], access.predictor)
    app.add_middleware(AccessMiddleware, asks={**predicting, batches.PATH: access.owner})
    app.add_middleware(MetricsMiddleware)
    app.add_middleware(RequestLogMiddleware)


@asynccontextmanager
async def _closing(app: FastAPI) -> AsyncIterator[None]:
    """What the application opened by itself ends with it; the engine is its worker's to close."""
    yield
    app.state.access.close()
