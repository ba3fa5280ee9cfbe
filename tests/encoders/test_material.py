"""What encoders are pretrained on: labels by frames, which recordings may be learned from, the file it is kept in."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from encoders.frames import FRAME, RECEPTIVE, UNKNOWN, frames_between, frames_of
from encoders.material import Clip, Material, frame_letters
from encoders.pretrain import Student, batch
from encoders.recordings import MOST_COPIES, Recording, at_speed, recordings, speeds
from encoders.teacher import CODED_LAYERS, CODES, codebooks, codes, consonants, on_frames
from speech.audio.decode import SAMPLE_RATE
from speech.text.alignment import PlacedLetter
from speech.text.language import load_language

RUSSIAN = load_language("ru")
PLACE = {letter: 1 + RUSSIAN.alphabet.index(letter) for letter in RUSSIAN.alphabet}


def corpus(folder: Path, rows: list[dict[str, str]], seconds: float = 1.0) -> Path:
    folder.mkdir()
    usual = {"text": "рука", "speaker": "anna", "language": "ru", "source": "people", "may_ship": "yes"}
    with (folder / "clips.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, ["file", *usual])
        writer.writeheader()
        for row in rows:
            writer.writerow(usual | row)
            noise = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE))
            soundfile.write(folder / row["file"], noise, SAMPLE_RATE)
    return folder


def clip(speaker: str, *, seed: int = 0, frames: int = 12) -> Clip:
    rng = np.random.default_rng(seed)
    letters = rng.integers(0, 5, frames).astype(np.int16)
    return Clip(
        sound=rng.integers(-3000, 3000, RECEPTIVE + FRAME * (frames - 1)).astype(np.int16),
        phones=rng.integers(0, 3, frames).astype(np.int16),
        letters=letters,
        codes=rng.integers(0, CODES, (len(CODED_LAYERS), frames)).astype(np.int16),
        order=np.array([3, 1], np.int16)[: seed % 3],
        speaker=speaker,
    )


def test_a_frame_is_where_its_middle_is() -> None:
    frames = frames_of(SAMPLE_RATE)
    inside = frames_between(0.5, 0.6, frames)
    middles = [(FRAME * frame + RECEPTIVE / 2) / SAMPLE_RATE for frame in inside]
    assert len(inside) == 5
    assert all(0.5 <= middle < 0.6 for middle in middles)
    assert frames_between(0.9, 2.0, frames).stop == frames


def test_the_teachers_frames_are_moved_to_the_students() -> None:
    values = np.arange(50)
    moved = on_frames(values, SAMPLE_RATE)
    assert len(moved) == frames_of(SAMPLE_RATE)
    offset = [(FRAME * frame + RECEPTIVE / 2) - FRAME * there for frame, there in enumerate(moved)]
    assert max(map(abs, offset)) <= FRAME / 2


def test_a_consonant_is_told_where_it_is_written_and_heard() -> None:
    """«его рука»: the г is a [v], which is no г and none of the written letters; the р sounds for two frames."""
    heard = np.full((20, 1 + len(RUSSIAN.alphabet)), -9.0)
    heard[:, 0] = np.log(0.9)
    for frame in (8, 9):
        heard[frame, 0], heard[frame, PLACE["р"]] = -5.0, np.log(0.8)
    heard[3, 0], heard[3, PLACE["г"]] = -5.0, np.log(0.5)
    placed = [
        PlacedLetter(PLACE["е"], 0, 1, None),
        PlacedLetter(PLACE["г"], 0, 3, None),
        PlacedLetter(PLACE["о"], 0, 5, None),
        PlacedLetter(PLACE["р"], 1, 8, "р"),
        PlacedLetter(PLACE["у"], 1, 10, None),
        PlacedLetter(PLACE["к"], 1, 13, None),
        PlacedLetter(PLACE["а"], 1, 15, None),
    ]
    told = consonants(placed, heard, RUSSIAN)
    assert list(np.flatnonzero(told == PLACE["р"])) == [8, 9]
    assert told[3] == UNKNOWN
    assert PLACE["г"] not in told
    assert PLACE["к"] not in told
    assert told[0] == 0


def test_sounds_of_other_languages_are_written_in_russian() -> None:
    assert frame_letters(["ʀ", "ɡʲ", "a", "_"], RUSSIAN.alphabet) == [PLACE["р"], PLACE["г"], UNKNOWN, 0]


def test_only_what_may_ship_is_learned_from_and_no_judge(tmp_path: Path) -> None:
    rows = [
        {"file": "a.wav"},
        {"file": "b.wav", "may_ship": "no"},
        {"file": "c.wav", "language": "uk"},
        {"file": "d.wav", "source": "judge"},
    ]
    folder = corpus(tmp_path / "people", rows)
    assert [one.path.name for one in recordings([folder], ["judge"])] == ["a.wav"]
    with pytest.raises(ValueError, match="may be learned from"):
        recordings([folder], ["judge", "people"])


def test_who_is_heard_little_is_heard_at_several_speeds(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "people", [{"file": "a.wav"}, {"file": "b.wav", "speaker": "boris"}])
    little, much = recordings([folder], [])
    much = Recording(much.path, much.text, much.speaker, 7200.0)
    wanted, once = speeds([little, much], np.random.default_rng(0))
    assert (wanted[0], len(set(wanted)), once) == (1.0, MOST_COPIES, (1.0,))


def test_faster_speech_is_shorter() -> None:
    samples = np.zeros(SAMPLE_RATE, np.float32)
    assert at_speed(samples, 1.0) is samples
    assert len(at_speed(samples, 1.25)) == pytest.approx(SAMPLE_RATE / 1.25, abs=2)


def test_codes_are_the_nearest_centres() -> None:
    rng = np.random.default_rng(0)
    features = [rng.standard_normal((2, 400, 4)).astype(np.float16) for _ in range(2)]
    books = codebooks(features, rng)
    found = codes(features[0], books)
    distances = np.square(features[0][1, 7].astype(np.float32) - books[1]).sum(1)
    assert (found.shape, found[1, 7]) == ((2, 400), distances.argmin())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    material = Material([clip("anna"), clip("david", seed=2, frames=7)], ["_", "r", "a"])
    material.write(tmp_path / "material.npz")
    again = Material.read(tmp_path / "material.npz")
    assert again.phones == material.phones
    for one, other in zip(material.clips, again.clips, strict=True):
        assert one.speaker == other.speaker
        for name in ("sound", "phones", "letters", "codes", "order"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
    training, held = again.split()
    assert ([one.speaker for one in training], [one.speaker for one in held]) == (["anna"], ["david"])


def test_each_task_learns_from_the_clips_that_know_of_it() -> None:
    student = Student(3, RUSSIAN.alphabet)
    rng = np.random.default_rng(0)
    known = clip("anna", seed=2, frames=30)
    nothing = Clip(
        known.sound,
        *(np.full_like(value, UNKNOWN) for value in (known.phones, known.letters, known.codes)),
        known.order[:0],
        "boris",
    )
    assert set(student.losses(batch([known, nothing], None, rng))) == {"phones", "letters", "codes", "order"}
    assert student.losses(batch([nothing, nothing], None, rng)) == {}


def test_a_clip_without_labels_changes_no_loss() -> None:
    torch.manual_seed(0)
    student = Student(3, RUSSIAN.alphabet).eval()
    rng = np.random.default_rng(0)
    known = clip("anna", seed=2, frames=30)
    bare = Clip(known.sound, *(np.full_like(v, UNKNOWN) for v in (known.phones, known.letters, known.codes)),
                known.order[:0], "boris")  # fmt: skip
    alone, beside = (student.losses(batch(clips, None, rng)) for clips in ([known], [known, bare]))
    for name, loss in alone.items():
        assert torch.allclose(loss, beside[name], atol=1e-4), name
