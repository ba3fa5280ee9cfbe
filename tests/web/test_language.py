"""The catalogues: complete, alike, used, and everything that people read is in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest

from web.language import LANGUAGES, Catalogue, catalogue, chosen, day, duration, moment, number, percent, size, text

WEB = Path(__file__).resolve().parents[2] / "web"
SOURCES = sorted(WEB.rglob("*.py"))
DRAWING = [
    path for path in SOURCES if path.relative_to(WEB).parts[0] in ("app", "pages", "routes", "theme", "visit.py")
]
KEY = re.compile(r"[a-z]+(_[a-z0-9]+)+")
MADE = re.compile(r"[a-z]+(_[a-z0-9]+)+|[a-z]+(_[a-z]+)*_")  # a key, or what an f-string begins one with
# What of a text in code begins like a key of a catalogue: so that a typing error in one is found.
PREFIXES = ("account", "app", "field", "file", "landing", "nav", "page", "problem", "register", "service", "sign_in")
NOT_TEXTS = {"file_name", "page_icon", "page_title", "service_batch", "service_seconds", "sign_in_attempts"}
# Streamlit calls whose words people read, by argument.
SHOWN_WORDS = """
    audio_input button caption checkbox download_button error expander file_uploader form_submit_button header info
    link link_button markdown metric multiselect number_input Page pills popover post_button radio segmented_control
    selectbox slider spinner status subheader success tabs text text_area text_input title toast toggle warning write
"""
WORDS = ("label", "body", "title", "help", "placeholder", "caption", "text", "page_title")


def values_in(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def parts(entry: object) -> list[str]:
    return [entry] if isinstance(entry, str) else list(entry.values()) if isinstance(entry, dict) else []


def strings() -> Iterator[tuple[Path, str]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def prefixes_of_made_keys() -> set[str]:
    """What stands before the `{` of f-strings: `problem_{code}` uses every key that begins with `problem_`."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                found.add(str(node.values[0].value))
    return {prefix for prefix in found if re.fullmatch(r"[a-z]+(_[a-z]+)*_", prefix)}


def test_catalogues_are_twins() -> None:
    ru, en = catalogue("ru"), catalogue("en")
    assert sorted(ru) == sorted(en)
    for key in ru:
        values = [set().union(*map(values_in, parts(language[key]))) for language in (ru, en)]
        assert values[0] == values[1], key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_one(language: str) -> None:
    texts: Catalogue = catalogue(language)
    wanted = {"ru": {"one", "few", "many", "other"}, "en": {"one", "other"}}[language]
    for key, entry in texts.items():
        assert KEY.fullmatch(key), key
        assert all(part.strip() for part in parts(entry)), key
        assert isinstance(entry, str) or set(entry) == wanted, key
        cyrillic = any(re.search("[а-яё]", part, re.IGNORECASE) for part in parts(entry))
        assert cyrillic == (language == "ru") or key == "nav_api", key


def test_no_text_of_a_language_is_left_in_the_other() -> None:
    ru, en = catalogue("ru"), catalogue("en")
    assert [key for key in ru if ru[key] == en[key]] == []


def test_code_names_keys_that_exist() -> None:
    known = set(catalogue("en"))
    found = {
        f"{path.name}: {value}"
        for path, value in strings()
        if KEY.fullmatch(value) and value.startswith(tuple(f"{prefix}_" for prefix in PREFIXES))
        if value not in known | NOT_TEXTS and "test" not in value
    }
    assert found == set()


def test_every_key_is_used() -> None:
    used = {value for _, value in strings()}
    made = tuple(prefixes_of_made_keys())
    assert [key for key in catalogue("en") if key not in used and not key.startswith(made)] == []


def test_pages_show_no_words_of_their_own() -> None:
    found = []
    for path in DRAWING:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or _name(call) not in SHOWN_WORDS.split():
                continue
            shown = call.args + [word.value for word in call.keywords if word.arg in WORDS]
            found += [f"{path.name}:{call.lineno}: {own}" for each in shown for own in _own_words(each)]
    assert found == []


def test_no_cyrillic_in_code() -> None:
    """But for the languages' own names, examples in docstrings, and the rules of letters in `web.twisters`."""
    found = set()
    for path in (path for path in SOURCES if path.parent.name != "twisters"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said]
        found |= {node.value for node in nodes if re.search("[а-яё]", str(node.value), re.IGNORECASE)}
    assert found == {LANGUAGES["ru"]}


def test_plurals(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        "ru": {
            "n_tries": {
                "one": "{count} проба",
                "few": "{count} пробы",
                "many": "{count} проб",
                "other": "{count} пробы",
            }
        },
        "en": {"n_tries": {"one": "{count} try", "other": "{count} tries"}},
    }
    monkeypatch.setattr("web.language.catalogue", lambda language: entries[language])
    shown = [text("n_tries", "ru", count=count) for count in (1, 2, 5, 11, 21, 22, 1005)]
    assert shown == ["1 проба", "2 пробы", "5 проб", "11 проб", "21 проба", "22 пробы", "1\xa0005 проб"]
    assert [text("n_tries", "en", count=count) for count in (1, 2)] == ["1 try", "2 tries"]


def test_language_is_the_chosen_one_or_the_browsers() -> None:
    assert chosen("ru", "en-US") == "ru"
    assert chosen(None, "de-DE, ru;q=0.8, en;q=0.5") == "ru"
    assert chosen("xx", "fr") == "en"
    assert chosen(None, None) == "en"


def test_figures_and_dates() -> None:
    when = datetime(2026, 11, 25, 21, 30, tzinfo=UTC)
    assert (number(0.5, "ru"), number(1234.5, "en", 2), percent(0.876, "en")) == ("0,5", "1,234.50", "88%")
    assert " ".join(day(when, "ru").split()) == "25 ноября 2026 г."  # which kind of space is CLDR's affair
    assert day(when, "en") == "November 25, 2026"
    assert "26 нояб" in moment(when, "ru", "Europe/Moscow")
    assert moment(when, "ru", "No/Where") == moment(when, "ru")
    assert (duration(40, "ru"), duration(600, "en"), duration(0.2, "en")) == ("40 секунд", "10 minutes", "1 second")
    assert size(25_000_000, "ru") == "25 МБ"


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _own_words(node: ast.expr) -> list[str]:
    """Letters that stand literally in what is shown; keys, icons and addresses are none."""
    if isinstance(node, ast.Call):
        return []
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    bare = [re.sub(r":material/\w+:|[/.][\w./?=-]*", "", word) for word in words if not MADE.fullmatch(word)]
    return [word for word in bare if re.search(r"[^\W\d_]{2}", word)]
