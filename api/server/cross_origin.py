"""Pages of other sites that may ask the service from a browser (CORS): none, unless the settings name them."""

from __future__ import annotations

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS = ("GET", "HEAD", "POST", "DELETE")
_READABLE = (  # headers of an answer that scripts may read
    "Content-Disposition",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)
_KEEP_SECONDS = 600  # that a browser need not ask again


def allow_origins(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """`app` for pages of these origins, too; `*` is any page.

    Keys are sent in headers, of which any is let through. Cookies are not: nothing here reads one.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=["*"],
        allow_private_network=True,  # the service is often in a network of its own; its owner has named the page
        expose_headers=_READABLE,
        max_age=_KEEP_SECONDS,
    )
