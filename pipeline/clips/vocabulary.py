"""The names that a table may use, from the language's file and the run's own aliases."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.clips.settings import ClipSettings, CorpusSettings
from pipeline.clips.validation import Vocabulary
from speech.text.language import Language


def vocabulary(settings: ClipSettings, language: Language) -> Vocabulary:
    """Columns, classes and splits with all their aliases. The classes are those of the settings, in that order."""
    classes = {}
    for name in settings.classes:
        known = language.classes[name]
        classes[name] = [name, *known.names.values(), *known.aliases, *settings.label_aliases.get(name, [])]
    return Vocabulary(columns(settings, language), classes, language.splits, exclusive=settings.exclusive)


def columns(settings: CorpusSettings, language: Language) -> dict[str, Sequence[str]]:
    return {role: [*names, *settings.column_aliases.get(role, [])] for role, names in language.columns.items()}
