"""The pages that Streamlit does not draw: signing in and making an account, plain HTML in the same looks."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse

from web.accounts.passwords import LONGEST, SHORTEST
from web.database.models import NAME_LENGTH, User
from web.language import LANGUAGES, text
from web.settings import WebSettings
from web.theme import form_styles

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}


@dataclass(frozen=True)
class Field:
    """An input of a form; `autocomplete` is for browsers that keep passwords."""

    name: str
    label: str
    autocomplete: str
    hint: str = ""
    password: bool = False


def sign_in_page(settings: WebSettings, language: str, name: str = "", error: str = "", notice: str = "") -> str:
    """The form to sign in; `name` as it was sent before."""
    fields = [
        Field("name", "field_name", "username"),
        Field("password", "field_password", "current-password", "", True),
    ]
    foot = _link("/account/register", "sign_in_no_account", "register_title", language) if settings.registration else ""
    if settings.oidc:
        label = text("sign_in_with", language, provider=settings.oidc_name)
        foot = f'<p><a class="other" href="/?provider=1">{escape(label)}</a></p>' + foot
    form = _form("/account/sign-in", fields, "sign_in_button", language, name)
    return _page("sign_in_title", form + foot, language, error, notice)


def register_page(settings: WebSettings, language: str, name: str = "", error: str = "") -> str:
    """The form to make an account."""
    foot = _link("/account/sign-in", "register_have_account", "sign_in_button", language)
    if not settings.registration:
        return _page("register_title", foot, language, text("register_closed", language))
    fields = [
        Field("name", "field_name", "username", text("field_name_hint", language)),
        Field(
            "password", "field_password", "new-password", text("field_password_hint", language, least=SHORTEST), True
        ),
    ]
    form = _form("/account/register", fields, "register_button", language, name)
    return _page("register_title", form + foot, language, error)


def password_page(language: str, error: str = "") -> str:
    """The form to change the password."""
    hint = text("field_password_hint", language, least=SHORTEST)
    fields = [
        Field("old", "field_old_password", "current-password", "", True),
        Field("new", "field_new_password", "new-password", hint, True),
    ]
    form = _form("/account/password", fields, "account_password_button", language, "")
    return _page("account_password_title", form + _back(language), language, error)


def delete_page(user: User, language: str, error: str = "") -> str:
    """The form to delete the account."""
    fields = [Field("password", "field_password", "current-password", "", True)] if user.password_hash else []
    warning = f"<p>{escape(text('account_delete_hint', language))}</p>"
    form = _form("/account/delete", fields, "account_delete_button", language, "", "danger")
    return _page("account_delete_title", warning + form + _back(language), language, error)


def answer(page: str, status: int = 200) -> HTMLResponse:
    """A page as an answer that no cache keeps and no frame shows."""
    return HTMLResponse(page, status, headers=_HEADERS)


def _page(title: str, content: str, language: str, error: str = "", notice: str = "") -> str:
    heading, name = escape(text(title, language)), escape(text("app_name", language))
    told = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    told += f'<p class="notice" role="status">{escape(notice)}</p>' if notice else ""
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading} · {name}</title>
<style>{form_styles()}</style>
</head>
<body>
<header><a class="brand" href="/">{name}</a>{_languages(language)}</header>
<main><h1>{heading}</h1>{told}{content}</main>
</body>
</html>
"""


def _languages(language: str) -> str:
    buttons = "".join(
        f'<button name="language" value="{code}" lang="{code}"{" disabled" if code == language else ""}>{name}</button>'
        for code, name in LANGUAGES.items()
    )
    label = escape(text("language_label", language))
    return f'<form class="languages" method="post" action="/account/language" aria-label="{label}">{buttons}</form>'


def _back(language: str) -> str:
    return f'<p><a href="/account">{escape(text("nav_account", language))}</a></p>'


def _form(action: str, fields: list[Field], button: str, language: str, name: str, kind: str = "primary") -> str:
    inputs = "".join(_input(field, language, name if field.name == "name" else "") for field in fields)
    label = escape(text(button, language))
    return f'<form class="main" method="post" action="{action}">{inputs}<button class="{kind}">{label}</button></form>'


def _input(field: Field, language: str, value: str) -> str:
    kind, most = ("password", LONGEST) if field.password else ("text", NAME_LENGTH)
    hint = f"<small>{escape(field.hint)}</small>" if field.hint else ""
    return (
        f"<label>{escape(text(field.label, language))}"
        f'<input name="{field.name}" type="{kind}" maxlength="{most}" autocomplete="{field.autocomplete}" '
        f'value="{escape(value)}" required autocapitalize="none" spellcheck="false">{hint}</label>'
    )


def _link(address: str, question: str, words: str, language: str) -> str:
    return f'<p>{escape(text(question, language))} <a href="{address}">{escape(text(words, language))}</a></p>'
