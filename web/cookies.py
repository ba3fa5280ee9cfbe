"""Cookies: the session's token and the language. Neither is ever in an address."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

SESSION = "vnyatno_session"
LANGUAGE = "vnyatno_language"
_YEAR = 366 * 86_400
_PROVIDER = "_streamlit_user"  # Streamlit's own, after OpenID Connect; ours replaces it at once


def set_session(response: Response, token: str, seconds: int, secure: bool) -> None:
    """Give the browser a session, which no script of a page can read."""
    response.set_cookie(SESSION, token, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def clear_session(request: Request, response: Response, secure: bool) -> None:
    """Take the session away, and what an OpenID Connect provider left."""
    response.delete_cookie(SESSION, path="/", httponly=True, samesite="lax", secure=secure)
    clear_provider(request, response)


def clear_provider(request: Request, response: Response) -> None:
    """Take away what an OpenID Connect provider left."""
    for name in request.cookies:
        if name.startswith(_PROVIDER):
            response.delete_cookie(name, path="/")


def set_language(response: Response, language: str, secure: bool) -> None:
    """Remember the language."""
    response.set_cookie(LANGUAGE, language, max_age=_YEAR, path="/", httponly=True, samesite="lax", secure=secure)
