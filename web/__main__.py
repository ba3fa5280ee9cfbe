"""Start the web application: `python -m web`. `web.settings` says which environment variables it takes."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

from web.accounts.errors import AccountError
from web.database import DatabaseError
from web.house import House, house
from web.language import text
from web.server import bind, serve
from web.settings import SettingsError, read_settings


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    for noisy in ("alembic", "fontTools", "fpdf", "httpx", "streamlit"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        listener = bind(read_settings())
        here = house()
        _first_administrator(here)
    except (SettingsError, DatabaseError) as error:
        print(error, file=sys.stderr)
        return 1
    settings = here.settings
    logging.getLogger("vnyatno.web").info("the web application is at http://%s:%d", settings.host, settings.port)
    serve(here, listener)
    return 0


def _first_administrator(here: House) -> None:
    settings = here.settings
    if not settings.admin or not settings.admin_password:
        return
    try:
        here.accounts.make_administrator(settings.admin, settings.admin_password.get_secret_value(), datetime.now(UTC))
    except AccountError as error:
        told = text(error.key, "en", **error.values)
        raise SettingsError(f"VNYATNO_WEB_ADMIN and VNYATNO_WEB_ADMIN_PASSWORD: {told}") from error


if __name__ == "__main__":
    raise SystemExit(main())
