"""What a request to these routes is: from where, by which scheme, from which page, with which form."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request

from web.settings import WebSettings

MOST_BYTES = 16_384  # of a form
_FORM = "application/x-www-form-urlencoded"


class FormRefused(ValueError):
    """The form is no form of ours; `key` is for `web.language.text`."""

    def __init__(self, key: str, status: int) -> None:
        super().__init__(key)
        self.key = key
        self.status = status


async def read_form(request: Request, settings: WebSettings) -> dict[str, str]:
    """The fields of a form that a page of this site sent. Raises `FormRefused`."""
    if not same_origin(request, settings) or request.headers.get("content-type", "").partition(";")[0] != _FORM:
        raise FormRefused("account_form_refused", 403)
    body = b""
    try:
        async for block in request.stream():
            body += block
            if len(body) > MOST_BYTES:
                raise FormRefused("account_form_too_large", 413)
    except ClientDisconnect as error:
        raise FormRefused("account_form_refused", 400) from error
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20, errors="strict"))
    except ValueError as error:
        raise FormRefused("account_form_refused", 400) from error


def same_origin(request: Request, settings: WebSettings) -> bool:
    """Whether a browser sends this for a page of this site. Browsers put Origin on every POST; without it: no."""
    origin = request.headers.get("origin", "")
    if settings.origin:
        return origin == settings.origin.rstrip("/")
    scheme = "https" if is_secure(request, settings) else "http"
    return origin == f"{scheme}://{request.headers.get('host', '')}"


def is_secure(request: Request, settings: WebSettings) -> bool:
    """Whether the browser speaks https with this site, or with the trusted proxy before it."""
    if request.url.scheme == "https" or urlsplit(settings.origin).scheme == "https":
        return True
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower()
    return forwarded == "https" and _trusted(_socket(request), settings)


def address_of(request: Request, settings: WebSettings) -> str:
    """Where a request comes from: the socket's address, or the right-most forwarded one that is no trusted proxy."""
    address = _socket(request)
    if not _trusted(address, settings):
        return str(address or "")
    for part in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
        if not part.strip():
            continue
        address = _parsed(part.strip())
        if not _trusted(address, settings):
            break
    return str(address or "")


def _socket(request: Request) -> IPv4Address | IPv6Address | None:
    return _parsed(request.client.host) if request.client else None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _trusted(address: IPv4Address | IPv6Address | None, settings: WebSettings) -> bool:
    return address is not None and any(address in network for network in settings.trusted_proxies)
