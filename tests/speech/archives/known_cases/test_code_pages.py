"""Names that are written in a code page are read in the one in which they are Russian."""

from __future__ import annotations

import io
import zipfile

import pytest

from speech.archives.code_pages import code_page
from speech.archives.names import decoded_names

LOWER = ["мама мыла раму.mp3", "рыба.mp3", "запись разговора.wav", "голос/первый.ogg", "йод и щука.mp3"]
TITLE = ["Мама мыла раму.mp3", "Рыба.mp3", "Иванов И.И./Запись 1.wav", "Новая папка/Щука.mp3"]
UPPER = ["МАМА МЫЛА РАМУ.MP3", "РЫБА.MP3", "ООО РОМАШКА/ЗВОНОК.WAV"]
MIXED = ["data_mp3/train/anna_звонок_2026-11-03.mp3", "call 17 (копия).wav", "data_mp3/train/диктор01/a.mp3"]


class Raw(zipfile.ZipInfo):
    """An entry whose name is written as it is, without the UTF-8 flag."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.comment, self.flag_bits & ~0x800


def read(names: list[bytes]) -> list[str]:
    """The names of a zip as they are read, in which they are these bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for number, name in enumerate(names):
            entry = Raw(f"entry{number}")
            entry.comment = name
            zipped.writestr(entry, b"")
    with zipfile.ZipFile(made) as zipped:
        return decoded_names(zipped.infolist())


@pytest.mark.parametrize("names", [LOWER, TITLE, UPPER, MIXED], ids=["lower", "title", "upper", "mixed"])
@pytest.mark.parametrize("encoding", ["cp866", "cp1251", "koi8-r"])
def test_names_of_one_packer(encoding: str, names: list[str]) -> None:
    assert read([name.encode(encoding) for name in names]) == names


ALONE = [
    "рыба.mp3", "файл.mp3", "голос.wav", "диктор 01", "звонок_клиента", "Ёжик и щука №1.mp3", "Анна", "ООО", "тест 1",
    "СОБАКА", "Иванов_И_И.wav", "речь", "объект", "Новая папка", "data_mp3/train/рот!!!.mp3", "МОЙ ФАЙЛ", "кот.mp3",
]  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("encoding", ["cp866", "cp1251"])
def test_a_single_name(encoding: str, name: str) -> None:
    assert read([name.encode(encoding)]) == [name]


@pytest.mark.parametrize("name", ["сыр", "рысь", "ухты", "№1.mp3", "съёмка", "ЁЛКА", "Київ", "Їжак", "Мой ўзрост"])
def test_what_could_be_either_is_of_dos(name: str) -> None:
    assert code_page([name.encode("cp866")]) == "cp866"


def test_names_in_utf8_and_latin_names_say_nothing() -> None:
    names = ["data_mp3/train/рыба.mp3", "a.mp3", "мама.mp3", "голос.mp3"]
    found = read([names[0].encode(), names[1].encode(), *(name.encode("cp1251") for name in names[2:])])
    assert found == names


def test_a_long_archive_of_short_names() -> None:
    names = [f"{word}{number}.wav" for word in ("папа", "а", "дед", "баба") for number in range(30)]
    assert read([name.encode("cp1251") for name in names]) == names
