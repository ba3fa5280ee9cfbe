"""The names that a table of recordings with texts may use."""

from __future__ import annotations

from pipeline.clips.contents import Vocabulary
from pipeline.clips.table import SPEECH
from pipeline.clips.vocabulary import columns
from pipeline.recognition.settings import AsrClipSettings
from pipeline.recognition.texts import text_fault
from speech.text.language import Language


def transcribed_vocabulary(settings: AsrClipSettings, language: Language) -> Vocabulary:
    """Columns and splits with all their aliases; one class, speech, and what is wrong with a text."""
    return Vocabulary(columns(settings, language), {SPEECH: []}, language.splits, text_fault=text_fault(language))
