"""Languages as data: the Russian one, what a mistake in a file is answered with, and that YAML alone adds to it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from speech.text.language import FOLDER, LanguageError, load_language
from speech.text.letters import count_letters


@pytest.fixture
def russian() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load((FOLDER / "ru.yaml").read_text(encoding="utf-8")))


def written(value: Any, folder: Path) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


KINDS_OF_STUTTER = ("repetition", "prolongation", "block", "interjection")


def test_russian_has_the_four_classes_in_order_with_their_letters_and_the_kinds_of_stutter() -> None:
    classes = load_language("ru").classes
    assert [(name, list(part.markers)) for name, part in classes.items()] == [
        ("none", []),
        ("burr", ["р"]),
        ("fricative_g", ["г"]),
        ("stutter", []),
        *((kind, []) for kind in KINDS_OF_STUTTER),
    ]
    assert all(set(part.names) == {"ru", "en"} for part in classes.values())


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("0", "none"), ("норма", "none"), ("нет дефекта", "none"), ("no", "none"),
        ("1", "burr"), ("картавость", "burr"), ("картавый", "burr"), ("ротацизм", "burr"),
        ("2", "fricative_g"), ("фрикативное г", "fricative_g"), ("г фрикативное", "fricative_g"),
        ("гэканье", "fricative_g"),
        ("3", "stutter"), ("заикание", "stutter"), ("логоневроз", "stutter"),
        ("soundrep", "repetition"), ("повторы", "repetition"), ("растягивание", "prolongation"),
        ("блок", "block"), ("вставка", "interjection"), ("interjection", "interjection"),
    ],
)  # fmt: skip
def test_labels_as_people_write_them(label: str, name: str) -> None:
    classes = load_language("ru").classes
    assert [n for n, part in classes.items() if label in (n, *part.names.values(), *part.aliases)] == [name]


@pytest.mark.parametrize(
    ("header", "role"),
    [("файл", "file"), ("имя файла", "file"), ("filename", "file"), ("path", "file"), ("audio", "file"),
     ("метка", "label"), ("класс", "label"), ("target", "label"), ("defect", "label"),
     ("диктор", "speaker"), ("speaker_id", "speaker"), ("текст", "text"), ("sentence", "text"), ("выборка", "split")],
)  # fmt: skip
def test_headers_as_people_write_them(header: str, role: str) -> None:
    assert [r for r, names in load_language("ru").columns.items() if header in names] == [role]


def test_a_fifth_class_needs_yaml_alone(russian: dict[str, Any], tmp_path: Path) -> None:
    russian["classes"]["sigmatism"] = {
        "names": {"ru": "сигматизм", "en": "lisp"},
        "aliases": ["4", "шепелявость"],
        "markers": ["с", "з", "ц"],
    }
    russian["letters"] |= {
        "с": {"exclusions": [{"pattern": "с(?=ш)", "why": "сшить читается с [ш]"}]},
        "з": {},
        "ц": {},
    }
    language = load_language(written(russian, tmp_path))
    assert list(language.classes)[-1] == "sigmatism"
    assert count_letters("сшить лисицу за рекой", language) == {"р": 1, "г": 0, "с": 1, "з": 1, "ц": 1}


def test_another_language_needs_yaml_alone(tmp_path: Path) -> None:
    english = {
        "code": "en",
        "names": {"en": "English"},
        "alphabet": "abcdefghijklmnopqrstuvwxyz",
        "classes": {
            "none": {"names": {"en": "no defect"}},
            "rhotacism": {"names": {"en": "rhotacism"}, "markers": ["r"]},
        },
        "letters": {"r": {"exclusions": [{"pattern": "r(?![aeiouy])", "why": "silent unless a vowel follows"}]}},
        "columns": {"file": ["file"], "label": ["label"]},
        "splits": {"train": ["train"], "validation": ["dev"], "test": ["test"]},
    }
    assert count_letters("Red car near rare", load_language(written(english, tmp_path))) == {"r": 3}


def spoil(value: dict[str, Any], path: str, new: Any) -> None:
    *folders, last = path.split("/")
    for name in folders:
        value = value[int(name)] if isinstance(value, list) else value[name]
    if new is None:
        del value[last]
    else:
        value[last] = new


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("classes/burr/markers", ["рр"], "classes.burr.markers.0: must be one lower-case letter"),
        ("classes/burr/markers", ["щ"], "classes.burr.markers: 'щ' has no entry in letters"),
        ("classes/burr/names", {}, "classes.burr.names"),
        ("classes/burr/colour", "red", "classes.burr.colour: Extra inputs are not permitted"),
        ("classes/burr/aliases", [1], "classes.burr.aliases.0: Input should be a valid string; put it into quotes"),
        ("classes/burr/aliases", ["НОРМА"], "'НОРМА' stands for both none and burr"),
        ("letters/g", {}, "letters: 'g' is not in the alphabet"),
        ("letters/г", {"exclusions": [{"pattern": "(", "why": "?"}]}, "letters.г.exclusions.0.pattern: no regular"),
        ("letters/г", {"exclusions": [{"pattern": "г"}]}, "letters.г.exclusions.0.why: Field required"),
        ("columns/file", None, "columns: file is missing"),
        ("columns/colour", ["цвет"], "columns: colour is unknown; known are file, label"),
        ("splits/test", None, "splits: test is missing"),
        ("alphabet", None, "alphabet: Field required"),
    ],
)
def test_a_mistake_is_named_with_file_and_field(
    russian: dict[str, Any], tmp_path: Path, path: str, new: Any, message: str
) -> None:
    spoil(russian, path, new)
    file = written(russian, tmp_path)
    with pytest.raises(LanguageError) as caught:
        load_language(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_no_such_language_names_those_there_are() -> None:
    with pytest.raises(LanguageError, match=r"no language 'tlh'; there are: .*ru"):
        load_language("tlh")


def test_a_code_does_not_leave_the_folder() -> None:
    with pytest.raises(LanguageError, match="there is no language"):
        load_language("../defects")


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(LanguageError, match=r"bad\.yaml cannot be read"):
        load_language(path)


def test_counting_changes_with_the_rules_and_not_with_names(russian: dict[str, Any], tmp_path: Path) -> None:
    before = load_language(written(russian, tmp_path)).counting()
    russian["classes"]["burr"]["aliases"].append("картавлю")
    assert load_language(written(russian, tmp_path)).counting() == before
    russian["letters"]["г"]["exclusions"].pop()
    assert load_language(written(russian, tmp_path)).counting() != before
