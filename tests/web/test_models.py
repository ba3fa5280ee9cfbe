"""The page of the API and the models: for strangers, members and administrators; and where things are reached."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.web.conftest import PASSWORD
from tests.web.pages import Open, register, sound, words
from tests.web.service import MODEL, RECOGNISER, StubService, problem
from web import snippets
from web.house import House
from web.language import LANGUAGES, text
from web.service.addresses import dagster_address, service_address
from web.settings import SettingsError, read_settings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
INSIDE = "http://127.0.0.1:8000"


def bundles(previous: str | None = "defects-0") -> dict[str, object]:
    listed = [
        {"id": "defects-1a2b3c4d5e6f", "state": "in_service", "created": MODEL["created"], "bytes": 1_000_000},
        {"id": "*defects*", "state": "broken", "reasons": ["[a](http://b)"], "scores": {"macro_f1": 0.5}},
    ]
    return {"bundles": listed, "total": 2, "current": "defects-1a2b3c4d5e6f", "previous": previous}


def chief(here: House) -> str:
    here.accounts.make_administrator("chief", PASSWORD, NOW)
    return here.accounts.sign_in("chief", PASSWORD, "192.0.2.9", datetime.now(UTC))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stranger_sees_models_and_changes_nothing(
    here: House, stub: StubService, open_page: Open, language: str
) -> None:
    stub.reply("GET", "/api/models", 200, bundles())
    sly = MODEL | {"classes": [{"name": "burr", "names": {language: "[x](http://y)"}}]}
    stub.reply("GET", "/api/model", 200, sly)
    page = open_page("", language, "models")
    shown = words(page)
    assert text("models_figures", language) in shown
    assert r"\*defects\*" in shown
    assert r"\[a\]\(http\:" in shown
    assert r"\[x\]\(http\:" in shown.lower()
    assert text("models_rollback", language) not in shown
    assert [button.key for button in page.button] == []
    told = [snippets.curl, snippets.python, snippets.curl_transcription, snippets.openai_transcription]
    assert [each.value for each in page.code] == [snippet(stub.url).strip() for snippet in told]


def test_a_member_tries_the_api_and_rolls_nothing_back(here: House, stub: StubService, open_page: Open) -> None:
    stub.reply("GET", "/api/models", 200, bundles())
    page = open_page(register(here, "anna"), "en", "models")
    page.file_uploader(key="try_file").upload("a b.wav", sound(), "audio/wav").run()
    page = page.button(key="try_ask").click().run()
    assert '"predict_proba"' in page.json[0].value
    assert [each.path for each in stub.asked if each.method == "POST"] == ["/api/predict"]
    stub.reply("POST", "/api/predict", 422, problem(422, "too_short", "x"))
    page = page.button(key="try_ask").click().run()
    assert page.error[0].value == text("problem_too_short", "en").replace(".", r"\.")
    assert "rollback_sure" not in [button.key for button in page.button]


def test_an_administrator_rolls_back(here: House, stub: StubService, open_page: Open) -> None:
    stub.reply("GET", "/api/models", 200, bundles())
    stub.reply("POST", "/api/model/rollback", 200, {"current": "defects-0", "previous": "defects-1a2b3c4d5e6f"})
    page = open_page(chief(here), "en", "models")
    assert [each for each in stub.asked if each.method == "POST"] == []
    page = page.button(key="rollback_sure").click().run()
    assert page.success[0].value == text("models_rolled_back", "en", bundle=r"defects\-0")
    assert [each.path for each in stub.asked if each.method == "POST"] == ["/api/model/rollback?recipe=defects"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_recogniser_stands_beside_the_other_model(
    here: House, stub: StubService, open_page: Open, language: str
) -> None:
    assert text("models_no_recogniser", language) in words(open_page("", language, "models"))
    stub.reply("GET", "/api/model?recipe=asr", 200, RECOGNISER)
    shown = words(open_page("", language, "models"))
    assert r"asr\-2b3c4d5e6f70" in shown
    assert text("models_wer", language, value="0.124" if language == "en" else "0,124") in shown
    assert text("models_no_recogniser", language) not in shown
    assert r"defects\-1a2b3c4d5e6f" in shown


def test_recognisers_are_listed_and_rolled_back_by_themselves(here: House, stub: StubService, open_page: Open) -> None:
    listed = [{"id": "asr-2", "state": "in_service", "scores": {"wer": 0.2, "test_clips": 3}}]
    stub.reply("GET", "/api/models", 200, bundles())
    recognisers = {"bundles": listed, "total": 1, "current": "asr-2", "previous": "asr-1"}
    stub.reply("GET", "/api/models?limit=20&offset=0&recipe=asr", 200, recognisers)
    stub.reply("POST", "/api/model/rollback", 200, {"current": "asr-1", "previous": "asr-2"})
    page = open_page(chief(here), "en", "models")
    assert r"asr\-2" not in words(page)
    page = page.segmented_control(key="models_recipe").set_value("asr").run()
    assert text("models_wer", "en", value="0.200") in words(page)
    page.button(key="rollback_sure").click().run()
    assert [each.path for each in stub.asked if each.method == "POST"] == ["/api/model/rollback?recipe=asr"]


def test_a_rollback_that_the_service_refuses(here: House, stub: StubService, open_page: Open) -> None:
    stub.reply("GET", "/api/models", 200, bundles())
    stub.reply("POST", "/api/model/rollback", 409, problem(409, "bundle_refused", "a *file* was changed"))
    page = open_page(chief(here), "en", "models").button(key="rollback_sure").click().run()
    assert page.error[0].value == text("models_rollback_failed", "en", detail=r"a \*file\* was changed")


def test_an_administrator_no_more(here: House, stub: StubService, open_page: Open) -> None:
    stub.reply("GET", "/api/models", 200, bundles())
    page = open_page(chief(here), "en", "models")
    with here.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET administrator = false")
    page.button(key="rollback_sure").click().run()
    assert [each for each in stub.asked if each.method == "POST"] == []


def test_nothing_to_go_back_to(here: House, stub: StubService, open_page: Open) -> None:
    stub.reply("GET", "/api/models", 200, bundles(previous=None))
    assert text("models_no_previous", "en") in words(open_page(chief(here), "en", "models"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_history_and_drift_where_the_service_tells(
    here: House, stub: StubService, open_page: Open, language: str
) -> None:
    change = {"at": MODEL["created"], "action": "rolled_back", "before": "a", "after": "defects_2"}
    stub.reply("GET", "/api/model/history", 200, {"changes": [change]})
    stub.reply("GET", "/api/drift", 200, {"answers": 300, "psi": {"level_dbfs": 0.3}})
    shown = words(open_page("", language, "models"))
    assert text("history_rolled_back", language) in shown
    assert text("models_drift", language) not in shown
    assert "/api/drift" not in [each.path for each in stub.asked]
    assert text("models_drift", language) in words(open_page(register(here, "anna"), language, "models"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("psi", "by_chance", "key"), [(0.3, 0.31, "little"), (0.3, 0.2, "much"), (0.12, 0.1, "some")])
def test_what_chance_gives_is_no_drift(
    here: House, stub: StubService, open_page: Open, language: str, psi: float, by_chance: float, key: str
) -> None:
    told = {"answers": 100, "psi": {"level_dbfs": psi}, "by_chance": {"level_dbfs": by_chance}}
    stub.reply("GET", "/api/drift", 200, told)
    page = open_page(register(here, "anna"), language, "models")
    assert text(f"drift_{key}", language) in "".join(str(element.body) for element in page.html)


@pytest.mark.parametrize(("status", "code", "key"), [(502, "", "service_down"), (503, "no_model", "service_no_model")])
def test_a_service_that_tells_nothing(
    here: House, stub: StubService, open_page: Open, status: int, code: str, key: str
) -> None:
    for path in ("/api/model", "/api/models"):
        stub.reply("GET", path, status, problem(status, code, "x"))
    page = open_page("", "en", "models")
    told = [each.value for each in [*page.warning, *page.info]]
    assert text(key, "en").split(".")[0] in " ".join(told).replace("\\", "")
    assert page.code  # how to ask is told all the same


def test_programs_are_programs() -> None:
    for snippet in (snippets.python, snippets.openai_transcription):
        compile(snippet("https://speech.example.org"), "snippet", "exec")


@pytest.mark.parametrize(
    ("public", "internal", "page", "address"),
    [
        ("https://api.example.org/", INSIDE, "http://a:8501", "https://api.example.org"),
        ("", INSIDE, "https://speech.example.org/models", "https://speech.example.org"),
        ("", INSIDE, "http://192.0.2.7:8501/models", "http://192.0.2.7:8000"),
        ("", INSIDE, "http://[2001:db8::1]:8501/", "http://[2001:db8::1]:8000"),
        ("", "http://service:8000", "http://a:8501", "http://service:8000"),
        ("", INSIDE, "", INSIDE),
        ("", INSIDE, "http://a;rm -rf ~:8501/", INSIDE),
        ("", INSIDE, "javascript://x", INSIDE),
        ("", INSIDE, "http://a:99999999/", INSIDE),
    ],
)
def test_where_people_reach_the_service(public: str, internal: str, page: str, address: str) -> None:
    assert service_address(public, internal, page) == address


def test_where_people_reach_dagster() -> None:
    assert dagster_address("", 3000, False, "http://192.0.2.7:8501/") == "http://192.0.2.7:3000"
    assert dagster_address("https://d.example.org", 3000, False, "http://a") == "https://d.example.org"
    assert dagster_address("", 3100, True, "http://192.0.2.7:8501/") == "https://192.0.2.7:3100"
    assert dagster_address("", 3100, True, "") == "https://127.0.0.1:3100"


def test_dagsters_port_and_proxy_are_those_that_everything_was_started_with() -> None:
    shared = {"VNYATNO_DAGSTER_PORT": "3100", "VNYATNO_PROXY": "on"}
    settings = read_settings(shared)
    assert (settings.dagster_port, settings.dagster_proxy) == (3100, "on")
    assert (read_settings({}).dagster_port, read_settings({}).dagster_proxy) == (3000, "off")
    with pytest.raises(SettingsError, match="VNYATNO_DAGSTER_PORT: "):
        read_settings({"VNYATNO_DAGSTER_PORT": "many"})
