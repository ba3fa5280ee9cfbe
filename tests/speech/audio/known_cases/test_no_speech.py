"""Where nobody speaks there is nothing to judge, and other sound beside speech is left out."""

from __future__ import annotations

import numpy as np
import pytest

from speech.audio.decode import SAMPLE_RATE, AudioError, AudioLimits, decode
from speech.audio.isolated import Decoder
from speech.audio.limits import MIN_SPEECH_SECONDS
from speech.audio.speech_guard import has_speech, spoken_spans
from tests.long import joined, sentence
from tests.speech.audio.known_cases.make import plain
from tests.speech.audio.known_cases.sounds import NO_SPEECH, ringing_tone

LIMITS = AudioLimits(min_speech_seconds=MIN_SPEECH_SECONDS)


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_is_refused(name: str) -> None:
    data = plain(NO_SPEECH[name], "WAV")
    with pytest.raises(AudioError) as caught:
        decode(data, LIMITS)
    assert caught.value.code == "no_speech"
    assert decode(data).seconds > 1.0  # where nobody need speak


def test_the_child_refuses_it_too() -> None:
    with Decoder() as decoder, pytest.raises(AudioError) as caught:
        decoder.decode(plain(ringing_tone(), "WAV"), LIMITS)
    assert caught.value.code == "no_speech"


@pytest.mark.parametrize("dbfs", [-50.0, -30.0, -20.0])
def test_speech_in_noise_is_speech(dbfs: float) -> None:
    noise = 10 ** (dbfs / 20) * np.random.default_rng(0).standard_normal(len(sentence()))
    assert decode(plain(0.3 * (sentence() + noise), "WAV"), LIMITS).spans == ()


def test_a_word_is_enough() -> None:
    word = sentence()[int(0.4 * SAMPLE_RATE) : int(0.9 * SAMPLE_RATE)]
    assert decode(plain(word, "WAV"), LIMITS).seconds == pytest.approx(0.5)
    assert not has_speech(0.2, 10.0, MIN_SPEECH_SECONDS)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_recording_of_speech_and_pauses_is_judged_whole(rate: int) -> None:
    spoken = joined(1.0, "city", 6.0, "forest", 3.0)
    sound = decode(plain(spoken, "WAV", rate=rate), LIMITS)
    assert sound.spans == ()
    assert np.array_equal(sound.speech, sound.samples)


def test_some_speech_among_other_sound_is_judged_on_its_speech() -> None:
    tone = ringing_tone()
    whole = np.concatenate([tone, sentence("city"), tone, sentence("forest")])
    with Decoder() as decoder:
        sound = decoder.decode(plain(whole, "WAV"), LIMITS)
    assert sound.seconds == pytest.approx(len(whole) / SAMPLE_RATE)
    assert len(sound.spans) == 2
    speech = len(sentence("city")) + len(sentence("forest"))
    assert len(sound.speech) == pytest.approx(speech, abs=1.5 * SAMPLE_RATE)
    forest = len(tone) + len(sentence("city")) + len(tone) + SAMPLE_RATE  # a second within the last sentence
    (start, end), (second, _) = sound.spans
    assert sound.moment((end - start + forest - second) / SAMPLE_RATE) == pytest.approx(forest / SAMPLE_RATE, abs=1e-3)
    assert sound.moment(0.5) == pytest.approx(start / SAMPLE_RATE + 0.5, abs=1e-3)


def test_long_sounds_within_speech_stay() -> None:
    """A stutter's prolonged sound is louder than a pause and no voice to the network, but no other sound."""
    hiss = 0.05 * np.random.default_rng(0).standard_normal(int(1.2 * SAMPLE_RATE))
    samples = np.concatenate([sentence("city"), hiss, sentence("forest")]).astype(np.float32)
    assert spoken_spans(samples, MIN_SPEECH_SECONDS) == [(0, len(samples))]
