"""Clips that a synthesiser says for a recogniser's training."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soxr
import yaml

from pipeline.recognition.generated import bandwidth, generated
from pipeline.recognition.texts import frames_needed
from pipeline.training.augmentation import VARIED
from pipeline.training.examples import Example
from speech.ctc.folder import Recogniser, RecogniserError
from speech.synthesis.espeak import ACCENTS, VOICES, Synthesiser
from tests.recognisers import tiny_recogniser

TEXTS = ["включи свет", "да"]


def recording(hertz: float) -> Example:
    noise = 0.1 * np.random.default_rng(2).standard_normal(8000).astype(np.float32)
    sound = soxr.resample(noise, 16_000, 2 * hertz)
    return Example("r", lambda: soxr.resample(sound, 2 * hertz, 16_000), 0.5)


def loudness(samples: np.ndarray) -> np.ndarray:
    return np.abs(samples[: len(samples) // 320 * 320]).reshape(-1, 320).mean(axis=1)


@pytest.fixture
def recogniser(tmp_path: Path) -> Recogniser:
    return tiny_recogniser(tmp_path)


def test_they_say_the_texts_in_the_bandwidth_of_the_recordings(recogniser: Recogniser) -> None:
    made = generated(recogniser, TEXTS, [recording(4000.0)], 12, seed=1)
    assert len(made) == 12
    said = {recogniser.text_of(list(example.letters)) for example in made}
    assert said == set(TEXTS)
    for example in made:
        samples = example.load()
        assert len(samples) / 16_000 == pytest.approx(example.seconds, abs=0.03)
        assert samples.dtype == np.float32
        again = example.load()
        length = min(len(samples), len(again))
        assert np.corrcoef(loudness(samples[:length]), loudness(again[:length]))[0, 1] > 0.8
        assert 3000 <= bandwidth(samples) <= 4200
        assert frames_needed(example.letters) <= example.seconds / VARIED.speeds[1] / recogniser.frame_seconds


def test_of_a_closed_list_they_say_other_orders_of_its_words(recogniser: Recogniser) -> None:
    closed = Recogniser(recogniser.model, recogniser.processor, "ru", ["включи", "да", "свет"])
    made = generated(closed, ["включи свет"], [recording(8000.0)], 30, seed=1)
    said = {recogniser.text_of(list(example.letters)) for example in made}
    assert len(said) > 4
    assert all(len(text.split()) == 2 and set(text.split()) <= set(closed.words) for text in said)


def test_the_seed_decides_what_is_said(recogniser: Recogniser) -> None:
    first, same, other = (generated(recogniser, TEXTS, [recording(8000.0)], 3, seed=seed) for seed in (1, 1, 2))
    assert [example.load.args for example in first] == [example.load.args for example in same]
    assert [example.load.args for example in first] != [example.load.args for example in other]


def test_a_language_without_a_voice_is_named(tmp_path: Path) -> None:
    recogniser = tiny_recogniser(tmp_path, language="xx")
    with pytest.raises(RecogniserError, match=r"generated: .*'xx\+.*set it to 0"):
        generated(recogniser, TEXTS, [recording(8000.0)], 1, seed=1)


@pytest.mark.parametrize("hertz", [2000.0, 4000.0, 6000.0, 8000.0])
def test_bandwidth(hertz: float) -> None:
    assert bandwidth(recording(hertz).load()) == pytest.approx(hertz, rel=0.06)


@pytest.mark.parametrize("samples", [np.zeros(16_000, np.float32), np.zeros(10, np.float32), np.zeros(0, np.float32)])
def test_silence_has_the_whole_bandwidth(samples: np.ndarray) -> None:
    assert bandwidth(samples) == 8000.0


def test_the_voices_are_none_that_judge() -> None:
    judging = yaml.safe_load(Path("samples/corpus.yaml").read_text(encoding="utf-8"))["voices"]
    assert not set(VOICES) & set(judging)
    assert all(int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2 == 0 for name in VOICES)


def test_several_synthesisers_in_a_process_do_not_answer_for_each_other() -> None:
    first, second = Synthesiser(), Synthesiser()
    long, short = first.speak("раз два три четыре пять", "ru"), second.speak("да", "ru")
    del second
    assert len(short.samples) < len(long.samples) / 2
    assert abs(len(first.speak("да", "ru").samples) - len(short.samples)) < 500


@pytest.mark.parametrize("name", [*sorted(set(ACCENTS["en"])), "ru"])
def test_every_voice_speaks(name: str) -> None:
    synthesiser = Synthesiser()
    assert all(len(synthesiser.speak("one да", f"{name}+{voice}").samples) > 5000 for voice in VOICES)
