"""Where everything is, told to people."""

from __future__ import annotations

from deploy.addresses import Address, Addresses
from deploy.front.prepare import Prepared

_THIS_MACHINE = ("0.0.0.0", "::", "127.0.0.1", "::1")  # where the proxy listens when `localhost` reaches it


def places(addresses: Addresses, prepared: Prepared | None = None) -> list[str]:
    """One line for each address that a person may open; passwords that were just made are told here, and only here."""
    service = f"the service  {addresses.service.url}/api/docs/"
    front = addresses.front
    if front is None or prepared is None:
        return [f"the web      {addresses.web.url}", f"Dagster      {dagster_link(addresses)}", service]
    login = prepared.login
    asks = f"user {login.user}, {login.told}" if login else "no password is asked"
    return [
        f"the web      {_secure(front.https)}  (certificate: {prepared.certificate})",
        f"             {addresses.web.url}  without HTTPS, so that browsers of other machines give no microphone",
        f"Dagster      {dagster_link(addresses)}  ({asks})",
        f"{service}, also {_secure(front.https)}/api/docs/",
    ]


def dagster_link(addresses: Addresses) -> str:
    """Where a person opens Dagster: through the proxy, where there is one, since Dagster itself listens behind it."""
    return addresses.dagster.url if addresses.front is None else _secure(addresses.front.dagster)


def _secure(address: Address) -> str:
    """As opened on this machine; in a container, if its ports are published under their own numbers."""
    host = "localhost" if address.host in _THIS_MACHINE else address.host
    name = f"[{host}]" if ":" in host else host
    return f"https://{name}" + ("" if address.port == 443 else f":{address.port}")
