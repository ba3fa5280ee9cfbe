"""POST /account/…: what changes an account or sets a cookie. Each answers with a redirect (303) or the form again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from web import cookies
from web.accounts.errors import AccountError, TooManyAttempts
from web.house import House
from web.language import LANGUAGES, chosen, duration, text
from web.routes import pages
from web.routes.requests import FormRefused, address_of, is_secure, read_form

log = logging.getLogger("vnyatno.web")

_NOTICES = ("account_signed_out", "account_session_over", "account_deleted", "account_deleted_with_files_left")

Handler = Callable[["Asked"], Awaitable[Response]]


class Asked:
    """A request to one of these routes, with its form."""

    def __init__(self, house: House, request: Request, form: dict[str, str]) -> None:
        self.house = house
        self.request = request
        self.form = form
        self.token = request.cookies.get(cookies.SESSION)
        self.language = chosen(request.cookies.get(cookies.LANGUAGE), request.headers.get("accept-language"))
        self.address = address_of(request, house.settings)
        self.secure = is_secure(request, house.settings)
        self.now = datetime.now(UTC)

    def field(self, name: str) -> str:
        """A field of the form; empty where it was not sent."""
        return self.form.get(name, "")

    def explain(self, error: AccountError) -> str:
        """An error in the language of whoever asked."""
        wait = {"wait": duration(error.seconds, self.language)} if isinstance(error, TooManyAttempts) else {}
        return text(error.key, self.language, **{**error.values, **wait})

    def signed_in(self, token: str, target: str = "/") -> Response:
        """Go on as somebody who has just signed in."""
        response = RedirectResponse(target, 303)
        cookies.set_session(response, token, self.house.settings.session_seconds, self.secure)
        return response


async def register(asked: Asked) -> Response:
    """Make an account and sign in."""
    settings = asked.house.settings
    if not settings.registration:
        return pages.answer(pages.register_page(settings, asked.language), 403)
    name, password = asked.field("name"), asked.field("password")
    try:
        make = asked.house.accounts.register
        token = await run_in_threadpool(make, name, password, asked.address, asked.now, asked.language)
    except AccountError as error:
        page = pages.register_page(settings, asked.language, name, asked.explain(error))
        return pages.answer(page, _status(error))
    return asked.signed_in(token)


async def sign_in(asked: Asked) -> Response:
    """Sign in with name and password."""
    name, password = asked.field("name"), asked.field("password")
    try:
        enter = asked.house.accounts.sign_in
        token = await run_in_threadpool(enter, name, password, asked.address, asked.now, asked.token)
    except AccountError as error:
        page = pages.sign_in_page(asked.house.settings, asked.language, name, asked.explain(error))
        return pages.answer(page, _status(error))
    return asked.signed_in(token)


async def enter(asked: Asked) -> Response:
    """Swap a ticket, which the home page gives after OpenID Connect, for a session."""
    token = await run_in_threadpool(asked.house.accounts.enter, asked.field("ticket"), asked.now)
    response = asked.signed_in(token) if token else RedirectResponse("/account/sign-in", 303)
    cookies.clear_provider(asked.request, response)
    return response


async def sign_out(asked: Asked) -> Response:
    """End this session, or with `everywhere` all of this user's."""
    accounts = asked.house.accounts
    user = await run_in_threadpool(accounts.user_of, asked.token, asked.now)
    if user and asked.field("everywhere"):
        await run_in_threadpool(accounts.sign_out_everywhere, user.id)
    await run_in_threadpool(accounts.sign_out, asked.token)
    return _left(asked, "account_signed_out")


async def change_password(asked: Asked) -> Response:
    """Set another password; all other sessions end."""
    accounts = asked.house.accounts
    user = await run_in_threadpool(accounts.user_of, asked.token, asked.now)
    if user is None:
        return _left(asked, "account_session_over")
    try:
        change = partial(accounts.change_password, user, asked.field("old"), asked.field("new"), asked.now)
        token = await run_in_threadpool(change)
    except AccountError as error:
        return pages.answer(pages.password_page(asked.language, asked.explain(error)), _status(error))
    return asked.signed_in(token, "/account?done=password")


async def delete(asked: Asked) -> Response:
    """Delete the account with all that is in it."""
    accounts = asked.house.accounts
    user = await run_in_threadpool(accounts.user_of, asked.token, asked.now)
    if user is None:
        return _left(asked, "account_session_over")
    try:
        await run_in_threadpool(accounts.delete, user, asked.field("password"), asked.now)
    except AccountError as error:
        return pages.answer(pages.delete_page(user, asked.language, asked.explain(error)), _status(error))
    except OSError:
        log.exception("the files of a deleted user could not be deleted; they go at the next start")
        response = _left(asked, "account_deleted_with_files_left")
    else:
        response = _left(asked, "account_deleted")
    response.background = BackgroundTask(asked.house.discards.sweep)
    return response


async def language(asked: Asked) -> Response:
    """Speak another language from now on."""
    wanted = asked.field("language")
    referer = urlsplit(asked.request.headers.get("referer", ""))
    same = referer.netloc == asked.request.headers.get("host")
    # One leading slash only: `//elsewhere` would lead to another site.
    response = RedirectResponse("/" + referer.path.lstrip("/\\") if same else "/", 303)
    if wanted in LANGUAGES:
        cookies.set_language(response, wanted, asked.secure)
        user = await run_in_threadpool(asked.house.accounts.user_of, asked.token, asked.now)
        if user:
            await run_in_threadpool(asked.house.accounts.remember_language, user.id, wanted)
    return response


async def show_register(asked: Asked) -> Response:
    """The form to make an account."""
    return pages.answer(pages.register_page(asked.house.settings, asked.language))


async def show_sign_in(asked: Asked) -> Response:
    """The form to sign in, after one of a few known events with a word about it."""
    key = asked.request.query_params.get("notice", "")
    notice = text(key, asked.language) if key in _NOTICES else ""
    return pages.answer(pages.sign_in_page(asked.house.settings, asked.language, notice=notice))


async def show_password(asked: Asked) -> Response:
    """The form to change the password."""
    user = await run_in_threadpool(asked.house.accounts.user_of, asked.token, asked.now)
    if user is None or user.password_hash is None:
        return RedirectResponse("/account/sign-in", 303)
    return pages.answer(pages.password_page(asked.language))


async def show_delete(asked: Asked) -> Response:
    """The form to delete the account."""
    user = await run_in_threadpool(asked.house.accounts.user_of, asked.token, asked.now)
    if user is None:
        return RedirectResponse("/account/sign-in", 303)
    return pages.answer(pages.delete_page(user, asked.language))


def routes(house: House) -> list[Route]:
    """All routes of this room."""
    posts: dict[str, Handler] = {
        "register": register,
        "sign-in": sign_in,
        "enter": enter,
        "sign-out": sign_out,
        "password": change_password,
        "delete": delete,
        "language": language,
    }
    gets: dict[str, Handler] = {
        "register": show_register,
        "sign-in": show_sign_in,
        "password": show_password,
        "delete": show_delete,
    }
    shown = [Route(f"/account/{name}", _shown(house, handler), methods=["GET"]) for name, handler in gets.items()]
    sent = [Route(f"/account/{name}", _posted(house, handler), methods=["POST"]) for name, handler in posts.items()]
    return shown + sent


def _shown(house: House, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await handler(Asked(house, request, {}))

    return answer


def _posted(house: House, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            form = await read_form(request, house.settings)
        except FormRefused as error:
            asked = Asked(house, request, {})
            told = text(error.key, asked.language)
            return pages.answer(pages.sign_in_page(house.settings, asked.language, error=told), error.status)
        return await handler(Asked(house, request, form))

    return answer


def _left(asked: Asked, key: str) -> Response:
    """Say good-bye: on to the sign-in form, with the session's cookie taken away."""
    response = RedirectResponse(f"/account/sign-in?notice={key}", 303)
    cookies.clear_session(asked.request, response, asked.secure)
    return response


def _status(error: AccountError) -> int:
    return 429 if isinstance(error, TooManyAttempts) else 422
