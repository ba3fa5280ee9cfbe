"""The page of training against a stand-in for the service: what is kept, told, sent again and escaped."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.web.pages import Open, member, register, sound, words
from tests.web.service import MODEL, PREDICTION, StubService, problem
from web import attempts
from web.database import Attempt
from web.house import House
from web.language import LANGUAGES, text
from web.pages.verdict import next_key, pace_key, pieces_of
from web.service.prediction import read_prediction
from web.theme.markdown import plain
from web.theme.meter import meter_html
from web.twisters import coverage
from web.visit import Member


def recorded(page: AppTest) -> AppTest:
    return page.audio_input[0].set_value(("take.wav", sound(), "audio/wav")).run()


def only(seen: Member) -> Attempt:
    (row,) = attempts.all_of(seen)
    return row


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_recording_is_judged_and_kept(here: House, open_page: Open, stub: StubService, language: str) -> None:
    token = register(here, "anna")
    page = recorded(open_page(token, language, "training"))
    shown = words(page)
    for key in ("training_result", "training_no_diagnosis", "next_slower", "training_sounds_hint"):
        assert text(key, language) in shown
    row = only(member(here, token))
    assert (row.answer, row.bundle, row.sounds) == (PREDICTION, PREDICTION["bundle"], ["р"])
    assert coverage(row.prompt, "ru")["р"] >= 2
    assert member(here, token).files.read(str(row.audio)) == sound()
    (sent,) = [asked for asked in stub.asked if asked.method == "POST"]
    assert row.prompt.encode() in sent.body
    assert b'name="peaks"' in sent.body
    gauges = "".join(str(element.body) for element in page.html)
    assert f"88{'%' if language == 'en' else chr(160) + '%'}" in gauges
    assert text("verdict_not_assessable", language) in gauges
    assert "4%" not in gauges  # a figure for what could not be assessed would be read as one


def test_it_is_sent_once_however_often_the_page_is_drawn(here: House, open_page: Open, stub: StubService) -> None:
    token = register(here, "anna")
    recorded(open_page(token, "en", "training")).run().run()
    assert len([asked for asked in stub.asked if asked.method == "POST"]) == 1
    assert only(member(here, token)).answer


@pytest.mark.parametrize(
    ("status", "body", "key"),
    [
        (503, problem(503, "no_model", "x"), "service_no_model"),
        (503, problem(503, "busy", "x"), "service_busy"),
        (500, problem(500, "internal", "x"), "service_odd"),
        (422, problem(422, "too_short", "x"), "problem_too_short"),
        (200, {"classes": ["none"], "predict_proba": [2.0]}, "service_odd"),
    ],
)
def test_a_recording_outlives_the_services_failures(
    here: House, open_page: Open, stub: StubService, status: int, body: object, key: str
) -> None:
    stub.reply("POST", "/api/predict", status, body)
    token = register(here, "anna")
    page = recorded(open_page(token, "en", "training"))
    assert [element.value for element in page.error] == [plain(text(key, "en"))]
    assert text("training_kept", "en") in words(page)
    seen = member(here, token)
    assert seen.files.read(str(only(seen).audio)) == sound()
    stub.reply("POST", "/api/predict", 200, PREDICTION)
    again = page.button(key=f"again_{only(seen).id}").click().run()
    assert text("next_slower", "en") in words(again)
    assert only(seen).answer == PREDICTION


def test_without_a_service_one_still_records(here: House, open_page: Open, stub: StubService) -> None:
    for method, path in (("GET", "/api/model"), ("POST", "/api/predict")):
        stub.reply(method, path, 502, b"")
    token = register(here, "anna")
    page = recorded(open_page(token, "en", "training"))
    assert text("training_kept_meanwhile", "en") in words(page)
    assert only(member(here, token)).answer == {}


def test_the_text_stays_while_the_service_goes_and_comes(here: House, open_page: Open, stub: StubService) -> None:
    token = register(here, "anna")
    page = open_page(token, "en", "training")
    read, chosen = page.subheader[0].value, page.button_group[0].value
    for method, path in (("GET", "/api/model"), ("POST", "/api/predict")):
        stub.reply(method, path, 502, b"")
    page = recorded(page)
    assert (page.subheader[0].value, page.button_group[0].value) == (read, chosen)
    row = only(member(here, token))
    assert (plain(row.prompt), row.sounds) == (read, chosen)
    away = open_page(token, "en", "training")
    read = away.subheader[0].value
    stub.reset()
    recorded(away)
    assert plain(attempts.all_of(member(here, token))[0].prompt) == read


def test_no_room_is_told_and_nothing_half_kept(here: House, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.files, "_max_user_bytes", 100)
    token = register(here, "anna")
    page = recorded(open_page(token, "en", "training"))
    assert "100" not in page.error[0].value or "kB" in page.error[0].value
    assert attempts.all_of(member(here, token)) == []


def test_another_text_comes_and_none_again(here: House, open_page: Open) -> None:
    page = open_page(register(here, "anna"), "en", "training")
    texts = [page.subheader[0].value]
    for _ in range(4):
        texts.append(page.button(key="another").click().run().subheader[0].value)
    assert len(set(texts)) == 5


def test_what_the_service_names_is_shown_as_it_is(here: House, open_page: Open, stub: StubService) -> None:
    sly = "<img src=x onerror=alert(1)>"
    card = MODEL | {"classes": [{"name": "burr", "names": {"en": sly}}, {"name": "none", "names": {}}]}
    stub.reply("GET", "/api/model", 200, card)
    caution = {"code": "new", "message": "![x](https://evil.example/x) :red[x]"}
    stub.reply("POST", "/api/predict", 200, PREDICTION | {"warnings": [caution]})
    page = recorded(open_page(register(here, "anna"), "en", "training"))
    words(page)
    assert all("<img" not in str(element.body) for element in page.html)
    assert [element.value for element in page.warning] == [plain(caution["message"])]


def test_nobody_judges_or_deletes_anothers_recording(here: House) -> None:
    anna, boris = (member(here, register(here, name)) for name in ("anna", "boris"))
    kept = attempts.keep(anna, attempts.Prompt("text", "ru", [], 1), sound(), "../x")
    assert attempts.find(boris, kept) is None
    attempts.delete(boris, [kept])
    assert anna.files.read(str(only(anna).audio)) == sound()
    attempts.delete(anna, [kept])
    assert (anna.files.names(), attempts.all_of(anna)) == ([], [])


def test_words_for_figures() -> None:
    assert [pace_key(value) for value in (2.0, 4.5, 8.0)] == ["tempo_slow", "tempo_usual", "tempo_fast"]


@pytest.mark.parametrize(
    ("burr", "words", "difficulty", "key"),
    [
        (0.9, ["yes", "no"], 3, "next_easier"),
        (0.6, ["no", "unsure"], 1, "next_again"),
        (0.1, ["not_assessable", "not_assessable"], 1, "next_more_sounds"),
        (0.9, ["not_assessable", "no"], 1, "next_more_sounds"),
        (0.1, ["not_assessable", "no"], 1, "next_harder"),
        (0.1, ["no", "no"], 3, "next_longer"),
    ],
)
def test_what_comes_next(burr: float, words: list[str], difficulty: int, key: str) -> None:
    verdicts = dict(zip(("burr", "stutter"), words, strict=True))
    answer = PREDICTION | {"predict_proba": [1 - burr, burr, 0.0, 0.0], "verdicts": verdicts, "places": []}
    assert next_key(read_prediction(answer), difficulty) == key


def test_each_scored_letter_is_coloured_where_it_stands() -> None:
    sounds = [
        {"letter": "р", "word": 0, "start": 0.4, "end": 0.5, "score": 0.05},
        {"letter": "р", "word": 2, "start": 1.0, "end": 1.1, "score": 0.5},
        {"letter": "р", "word": 2, "start": 1.2, "end": 1.3, "score": 0.95},
    ]
    words = [{"text": spoken, "start": 0.0, "end": 1.0} for spoken in ("Рак", "и", "карьер!")]
    pieces = pieces_of(read_prediction(PREDICTION | {"words": words, "sounds": sounds}), "en")
    assert "".join(piece.text for piece in pieces) == "Рак и карьер! "
    assert [(piece.text, piece.tone) for piece in pieces if piece.tone] == [("Р", "bad"), ("р", "doubt"), ("р", "good")]
    assert next(piece.label for piece in pieces if piece.tone) == "Р · with a defect · 5%"
    assert [piece.start for piece in pieces if piece.tone] == [0.4, 1.0, 1.2]


@pytest.mark.parametrize(
    "answer",
    [
        {"sounds": None},
        {"sounds": []},
        {"words": None},
        {"sounds": [{"letter": "р", "word": 7, "start": 0.0, "end": 0.1, "score": 0.5}]},
        {"sounds": [{"letter": "щ", "word": 0, "start": 0.0, "end": 0.1, "score": 0.5}]},
    ],
)
def test_without_scored_letters_there_is_no_text(answer: dict[str, object]) -> None:
    assert pieces_of(read_prediction(PREDICTION | answer), "ru") == []


def test_an_answer_of_a_service_that_scores_no_sounds_is_read() -> None:
    answer = {name: value for name, value in PREDICTION.items() if name != "sounds"}
    assert read_prediction(answer).sounds is None


def test_escaping() -> None:
    assert plain("a *b* [c](d) $e$ :red[f]") == r"a \*b\* \[c\]\(d\) \$e\$ \:red\[f\]"
    assert "<b>" not in meter_html("<b>", 0.5, "<b>", "<b>", "bad")
