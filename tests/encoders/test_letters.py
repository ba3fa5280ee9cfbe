"""The letters that an encoder comes with: what they are learned from, and how a model starts from them."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from encoders.frames import UNKNOWN
from encoders.material import frame_letters
from pipeline.defects.pretraining import LETTER_FILES, WHISPER_BASE, EncoderUnavailable, letters_folder, start_model
from pipeline.defects.settings import EncoderSettings, Pretext
from speech.audio.decode import decode
from speech.defects.model import DefectModel, collate
from speech.home import code_folder
from speech.text.language import load_language

ALPHABET = load_language("ru").alphabet
SMALL = code_folder() / "encoders" / "small"


def start(name: str, pretext: Pretext, alphabet: str = ALPHABET) -> DefectModel:
    settings = EncoderSettings(name=name, pretext=pretext)
    return start_model(settings, ("none", "burr"), ("р",), (True, True), alphabet=alphabet)


def test_frames_have_the_letter_of_their_consonant() -> None:
    place = {letter: 1 + ALPHABET.index(letter) for letter in "ргт"}
    symbols = ["_", "r", "ʁ", "ɣ", "ɡʲ", "tʲ", "a"]
    assert frame_letters(symbols, ALPHABET) == [0, place["р"], place["р"], place["г"], place["г"], place["т"], UNKNOWN]


@pytest.mark.parametrize("name", ["encoders/small", WHISPER_BASE])
@pytest.mark.parametrize("pretext", [Pretext.none, Pretext.letters, Pretext.both])
def test_a_model_that_spells_starts_from_them(name: str, pretext: Pretext) -> None:
    model = start(name, pretext)
    folder = letters_folder(name)
    assert folder is not None
    shipped = load_file(folder / LETTER_FILES[1])
    for part, value in model.marker_head.state_dict().items():
        assert torch.equal(value, shipped[part].float()), part


def test_a_model_that_counts_or_spells_otherwise_does_not() -> None:
    shipped = load_file(SMALL / LETTER_FILES[1])["linear.weight"]
    assert start("encoders/small", Pretext.counts).marker_head.linear.weight.shape != shipped.shape
    other = start("encoders/small", Pretext.letters, alphabet=ALPHABET[::-1])
    assert not torch.allclose(other.marker_head.linear.weight, shipped.float(), atol=0.1)


def test_torn_letters_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(SMALL, folder)
    (folder / LETTER_FILES[1]).write_bytes(b"torn")
    with pytest.raises(EncoderUnavailable, match=r"letters\.safetensors does not fit"):
        start(str(folder), Pretext.none)


def test_what_ships_hears_letters_in_a_new_voice(tmp_path: Path) -> None:
    """Of a fluent clip of the sample archive, in a voice that the encoder has not heard."""
    with zipfile.ZipFile(code_folder() / "samples" / "mini.zip") as archive:
        rows = csv.DictReader(io.StringIO(archive.read("data_train.csv").decode()))
        row = next(row for row in rows if row["label"] == "none" and row["text"].lower().count("р") >= 2)
        clip = tmp_path / row["file"]
        clip.write_bytes(archive.read(f"data_mp3/train/{row['file']}"))
    model = start("encoders/small", Pretext.none).eval()
    with torch.inference_mode():
        heard = model(*collate([decode(clip).samples])).intensity[0, :, 0]
    places = [t for t in range(1, len(heard) - 1) if heard[t - 1] <= heard[t] > heard[t + 1] and heard[t] > 0.5]
    assert 1 <= len(places) <= row["text"].lower().count("р") + 2
