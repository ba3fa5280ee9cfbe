"""Swagger UI from files that come with BentoML, so that it works without a network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="files/swagger-ui.css">
<link rel="icon" href="files/favicon-light-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="files/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({{
  url: "../openapi.json", dom_id: "#swagger-ui", tryItOutEnabled: true, deepLinking: true, defaultModelsExpandDepth: 0
}})</script>
</body>
</html>
"""


def install(app: FastAPI, prefix: str) -> None:
    """Serve Swagger UI at `<prefix>/docs/`, showing `<prefix>/openapi.json`."""

    @app.get(f"{prefix}/docs", include_in_schema=False)
    async def _slash() -> RedirectResponse:
        return RedirectResponse("docs/")

    @app.get(f"{prefix}/docs/", include_in_schema=False)
    async def _page() -> HTMLResponse:
        return HTMLResponse(_PAGE.format(title=app.title))

    app.mount(f"{prefix}/docs/files", StaticFiles(directory=_static_files()))


def _static_files() -> Path:
    package = find_spec("bentoml")
    if package is None or package.origin is None:
        raise RuntimeError("BentoML is not installed; Swagger UI's files come with it")
    return Path(package.origin).parent / "_internal" / "server" / "static_content"
