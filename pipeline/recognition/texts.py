"""What a recogniser is to write: texts as training targets, and what is wrong with some of them.

A text is judged twice. When the table is read, by its language: is anything left of it, and is it in the language's
script? Before training, by the model: are its letters in the vocabulary, and are there frames enough for it?
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from pipeline.clips.dataset import ClipSet
from pipeline.clips.errors import ClipsError
from pipeline.clips.records import ClipRecord, Fault
from pipeline.clips.report import REPORT_JSON
from pipeline.clips.settings import SPLITS
from pipeline.clips.table import TextFault
from pipeline.clips.verdict import refuse_too_many
from speech.files import read_json, write_json
from speech.text.language import Language, load_language
from speech.text.normalisation import normalise

TEXTS_NAME = "texts.json"
_NOWHERE = "\ue000"  # of the private use area: no vocabulary has it
_LETTERS_NAMED = 8
_LOST_FRAMES = 1  # the encoder's convolutions lose about one at the end of a clip

IdsOf = Callable[[str], list[int]]
"""A text's token ids, as `speech.ctc.folder.Recogniser.ids_of` gives them."""


class NothingLeftError(ClipsError):
    """No clip of a split has a text that the model can learn or be judged by; the message says what was wrong."""


@dataclass(frozen=True)
class Texts:
    """The training targets of a language."""

    language: Language

    def target(self, text: str) -> str:
        """The text as it is learnt and judged."""
        return normalise(text, self.language)

    def foreign(self, text: str) -> list[str]:
        """Its letters, each once, that the language is not written with."""
        alphabet = self.language.alphabet
        return [letter for letter in dict.fromkeys(self.target(text)) if letter.isalpha() and letter not in alphabet]

    def fault(self, text: str) -> tuple[str, str] | None:
        """What is wrong with a text before any model is known: code and sentence, or None."""
        if not text.strip():
            return "empty_text", "text: the cell is empty"
        if foreign := self.foreign(text):
            name = self.language.names.get("en", self.language.code)
            where = f"{name} ({self.language.code})"
            return "foreign_letters", f"text: {named_letters(foreign)} not in the alphabet of {where}"
        if not self.target(text):
            return "empty_text", f"text: {text!r} holds no letter and no digit"
        return None


def text_fault(language: Language) -> TextFault:
    """What the reading of a table asks of each text."""
    return Texts(language).fault


def alphabet_of(records: Iterable[ClipRecord], language: Language) -> str:
    """Letters and digits of the training clips' texts, sorted: a new recogniser's vocabulary, but the space."""
    texts = Texts(language)
    letters = {
        letter for record in records if record.split == "train" and record.text for letter in texts.target(record.text)
    }
    return "".join(sorted(letters - {" "}))


def check_texts(
    clip_set: ClipSet, ids_of: IdsOf, frame_seconds: float, report: Path | None = None
) -> tuple[list[ClipRecord], list[Fault]]:
    """The clips that a model can learn or be judged by, and what is wrong with the others.

    `ids_of` is the model's tokenizer, `frame_seconds` from one of its frames to the next. Faults are written to
    `<report>/texts.json`. Together with the rows that the clips stage left out they count towards its `max_bad_share`.

    Raises:
        TooManyFaultsError: more are bad than that allows.
        NothingLeftError: a split that had clips with texts has none left.
    """
    texts = Texts(load_language(clip_set.language))
    known = _Vocabulary(ids_of)
    told = [record for record in clip_set.records if record.text is not None and record.label is not None]
    usable, faults = [], []
    for record in told:
        wrong = _wrong(record, texts, known, ids_of, frame_seconds)
        if wrong is None:
            usable.append(record)
        else:
            faults.append(Fault(record.archive, record.row, record.file, *wrong))
    if report is not None:
        found = {"clips": len(told), "usable": len(usable), "faults": [asdict(fault) for fault in faults]}
        write_json(report / TEXTS_NAME, found)
    _judge(clip_set, told, usable, faults)
    return usable, faults


def frames_needed(ids: Sequence[int]) -> int:
    """The fewest frames that CTC can write token ids in: a blank stands between equal ones."""
    return len(ids) + sum(one == other for one, other in pairwise(ids))


def named_letters(letters: Sequence[str]) -> str:
    """Letters by script, for a sentence: `Greek letters α, β and the Cyrillic letter я are`."""
    by_script: dict[str, list[str]] = {}
    for letter in letters[:_LETTERS_NAMED]:
        script = unicodedata.name(letter, "unknown").split()[0]
        by_script.setdefault(script if script == "CJK" else script.capitalize(), []).append(letter)
    parts = [
        f"the {script} letter {of[0]}" if len(of) == 1 else f"{script} letters {', '.join(of)}"
        for script, of in by_script.items()
    ]
    more = len(letters) - _LETTERS_NAMED
    if more > 0:
        parts.append(f"{more} more")
    return f"{' and '.join(parts)} {'is' if len(letters) == 1 else 'are'}"


class _Vocabulary:
    """Which letters a tokenizer knows, seen from what it makes of a character that nobody has.

    Its last id stands for what is unknown, so a text without that id lacks nothing, whatever parts of words it is made
    of. A tokenizer that leaves out what it does not know gives no id, and is asked for each letter.
    """

    def __init__(self, ids_of: IdsOf) -> None:
        self._ids_of = ids_of
        self._unknown = ids_of(_NOWHERE)
        self._known: dict[str, bool] = {}

    def lacks(self, text: str, ids: Sequence[int]) -> list[str]:
        """Letters and digits of `text`, each once, that the vocabulary lacks; `ids` are the text's."""
        if self._unknown and self._unknown[-1] not in ids:
            return []
        words = text.split()
        if self._unknown:
            words = [word for word in words if self._unknown[-1] in self._ids_of(word)]
        return [letter for letter in dict.fromkeys("".join(words)) if not self._knows(letter)]

    def _knows(self, letter: str) -> bool:
        if letter not in self._known:
            ids = self._ids_of(letter)
            self._known[letter] = bool(ids) and ids != self._unknown
        return self._known[letter]


def _wrong(
    record: ClipRecord, texts: Texts, known: _Vocabulary, ids_of: IdsOf, frame_seconds: float
) -> tuple[str, str] | None:
    target = texts.target(record.text or "")
    if not target:
        return "empty_text", f"text: {record.text!r} holds no letter and no digit"
    ids = ids_of(target)
    if lacking := known.lacks(target, ids):
        return "unknown_letters", f"text: {named_letters(lacking)} not in the vocabulary"
    needed = frames_needed(ids)
    frames = int(record.seconds / frame_seconds) - _LOST_FRAMES
    if frames < needed:
        return (
            "too_short_for_text",
            f"text: needs {needed} frames of {frame_seconds * 1000:.0f} ms, {record.seconds:.2f} s of recording "
            f"have {max(0, frames)}; is it the text of another recording?",
        )
    return None


def _judge(
    clip_set: ClipSet, told: Sequence[ClipRecord], usable: Sequence[ClipRecord], faults: Sequence[Fault]
) -> None:
    before = read_json(clip_set.folder / REPORT_JSON)
    rows = sum(source["rows"] for source in before["sources"])
    lost = sum(source["lost"] for source in before["sources"])
    bad = len(faults) + lost + sum(fault["row"] is not None for fault in before["faults"])
    refuse_too_many(bad, rows, "rows", faults, clip_set.meta["options"]["max_bad_share"])
    had, left = {record.split for record in told}, {record.split for record in usable}
    for split in SPLITS:
        if split in had and split not in left:
            first = next(fault for fault in faults)
            raise NothingLeftError(f"no clip of the split {split} has a text that the model can use; {first}")
