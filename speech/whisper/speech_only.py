"""Whisper's transcript of what is spoken in a clip: in music, tones and noise beside speech it invents phrases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from speech.audio.decode import SAMPLE_RATE
from speech.audio.other_sound import OtherSound
from speech.audio.speech_guard import Span
from speech.whisper.backend import Transcriber
from speech.whisper.transcript import WhisperTranscript, Word


def transcribe_speech(transcriber: Transcriber, samples: np.ndarray) -> WhisperTranscript:
    """As `Transcriber.transcribe`, with other sound silenced. A clip without it is heard as it is, and so is one in
    which nobody is found to speak: whether that is to be heard at all, others decide."""
    other = OtherSound()
    left = np.concatenate([other.add(samples), other.finish()])
    silenced = other.silenced(0, len(samples))
    if not silenced or not other.speech_seconds:
        return transcriber.transcribe(samples)
    transcript = transcriber.transcribe(left)
    words = tuple(word for word in transcript.words if not _is_within(word, silenced))
    if len(words) == len(transcript.words):
        return transcript
    return replace(transcript, words=words, text=" ".join(word.text for word in words))


def _is_within(word: Word, spans: tuple[Span, ...]) -> bool:
    """Whether the middle of a word lies where sound was silenced."""
    middle = (word.start + word.end) / 2 * SAMPLE_RATE
    return any(start <= middle < end for start, end in spans)
