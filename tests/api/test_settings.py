from __future__ import annotations

from pathlib import Path

import pytest

from api.settings import DEFAULT_FILE, ServiceSettings, SettingsError, read_settings


def test_the_file_that_comes_with_the_project_holds_every_setting_and_its_default() -> None:
    assert read_settings({}) == ServiceSettings()
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    lines = {line.split(":")[0]: line for line in text.splitlines() if line and not line.startswith("#")}
    assert set(lines) == set(ServiceSettings.model_fields)
    assert all(" # " in line for line in lines.values())


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("workers: 3\nbatch_size: 4\n")
    environment = {"VNYATNO_SERVICE_CONFIG": str(tmp_path / "mine.yaml"), "VNYATNO_WORKERS": "2", "VNYATNO_THREADS": ""}
    settings = read_settings(environment)
    assert (settings.workers, settings.batch_size, settings.threads) == (2, 4, 0)


def test_cores_are_divided_among_the_workers() -> None:
    assert ServiceSettings(threads=5).model_threads == 5
    assert ServiceSettings(workers=64).model_threads >= 1


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("workers: 0\n", {}, "mine.yaml, workers: .*greater than or equal to 1"),
        ("wokers: 1\n", {}, "mine.yaml, wokers: .*not permitted"),
        ("workers: [\n", {}, "mine.yaml cannot be read"),
        ("just words", {}, "mine.yaml holds no settings"),
        ("workers: 1\n", {"VNYATNO_WORKERS": "many"}, "environment variable VNYATNO_WORKERS: .*'many'"),
        ("workers: 1\n", {"VNYATNO_DEVICE": "tpu"}, "environment variable VNYATNO_DEVICE: .*'cpu', 'cuda' or 'auto'"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_place(
    tmp_path: Path, text: str, environment: dict[str, str], message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_settings(environment | {"VNYATNO_SERVICE_CONFIG": str(tmp_path / "mine.yaml")})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read"):
        read_settings({"VNYATNO_SERVICE_CONFIG": str(tmp_path / "nowhere.yaml")})


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("trusted_proxies: [10.0.0.5, 172.16.0.0/12, 'fd00::/8']\n", {}),
        ("workers: 1\n", {"VNYATNO_TRUSTED_PROXIES": "10.0.0.5, 172.16.0.0/12,fd00::/8"}),
    ],
)
def test_proxies_are_networks_wherever_they_are_named(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    settings = read_settings(environment | {"VNYATNO_SERVICE_CONFIG": str(tmp_path / "mine.yaml")})
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.5/32", "172.16.0.0/12", "fd00::/8"]


@pytest.mark.parametrize("value", ["everybody", "10.0.0.5/8", "10.0.0.0/99"])
def test_a_proxy_that_is_no_network_is_refused_with_its_place(value: str) -> None:
    with pytest.raises(SettingsError, match="VNYATNO_TRUSTED_PROXIES"):
        read_settings({"VNYATNO_TRUSTED_PROXIES": value})
