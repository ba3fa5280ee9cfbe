"""The web application's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from web.settings import SettingsError, read_settings


def test_defaults(tmp_path: Path) -> None:
    settings = read_settings({"VNYATNO_HOME": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path}/web/web.sqlite"
    assert (settings.host, settings.port, settings.service) == ("127.0.0.1", 8501, "http://127.0.0.1:8000")
    assert settings.admin is None
    assert not settings.oidc


def test_environment(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "VNYATNO_HOME": str(tmp_path),
            "VNYATNO_HOST": "0.0.0.0",
            "VNYATNO_WEB_PORT": "9000",
            "VNYATNO_WEB_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "VNYATNO_WEB_SERVICE_KEY": "vn-secret",
        }
    )
    assert (settings.host, settings.port, len(settings.trusted_proxies)) == ("0.0.0.0", 9000, 2)
    assert "vn-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "0"), ("PORT", "web"), ("SERVICE", "ftp://x"), ("TRUSTED_PROXIES", "proxy"), ("IDLE_SECONDS", "1")],
)
def test_a_setting_that_is_no_good_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"VNYATNO_WEB_{name}"):
        read_settings({f"VNYATNO_WEB_{name}": value})


def test_an_administrator_needs_a_password_and_errors_do_not_show_it() -> None:
    with pytest.raises(SettingsError, match="both or neither"):
        read_settings({"VNYATNO_WEB_ADMIN": "anna"})
    with pytest.raises(SettingsError) as caught:
        read_settings({"VNYATNO_WEB_ADMIN_PASSWORD": "hunter2hunter2"})
    assert "hunter2" not in str(caught.value)


def test_openid_connect_is_complete_or_refused() -> None:
    with pytest.raises(SettingsError, match="VNYATNO_WEB_OIDC_CLIENT_SECRET"):
        read_settings({"VNYATNO_WEB_OIDC_CLIENT_ID": "vnyatno"})
