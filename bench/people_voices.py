"""The voices in corpora: people who speak Russian, people of other languages as probes, synthesisers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile

from bench.corpora.clips import TABLE, Clip, CorpusError, read_clips
from speech.audio.decode import decode

PEOPLE = ("festvox-ru", "asterisk-ru", "klettres", "ktuberling")
KINDS = ("person", "probe", "synthesiser")
LEAST_SECONDS = 1.0  # of clips that are joined or cut: in a single syllable there is no room for either


@dataclass(frozen=True)
class Voice:
    """Clips of one speaker, or of one synthesiser, in an order that is drawn once and for all."""

    corpus: Path
    name: str
    language: str
    clips: tuple[Clip, ...]

    @property
    def kind(self) -> str:
        """What the voice is to a reader of the tables."""
        if self.corpus.name not in PEOPLE:
            return "synthesiser"
        return "person" if self.language == "ru" else "probe"

    def samples(self, clip: Clip) -> np.ndarray:
        """Mono samples (n,) at 16 kHz."""
        return decode(self.corpus / clip.file).samples

    @cached_property
    def long(self) -> tuple[Clip, ...]:
        """The clips that are long enough to be joined or cut."""
        return tuple(clip for clip in self.clips if soundfile.info(self.corpus / clip.file).duration >= LEAST_SECONDS)


def voices(corpora: Path, limit: int | None) -> list[Voice]:
    """The voices of all corpora in a folder, at most `limit` clips of each. Raises `CorpusError`."""
    found = []
    for table_file in sorted(corpora.glob(f"*/{TABLE}")):
        corpus = table_file.parent

        def voice_of(clip: Clip, corpus: Path = corpus) -> tuple[str, str]:
            return clip.language, clip.speaker if corpus.name in PEOPLE else corpus.name

        for (language, name), clips in groupby(sorted(read_clips(corpus), key=voice_of), key=voice_of):
            drawn = sorted(clips, key=lambda clip: hashlib.sha1(clip.file.encode()).hexdigest())
            found.append(Voice(corpus, name, language, tuple(drawn[:limit])))
    if not found:
        raise CorpusError(f"{corpora} holds no corpus; make some: python -m bench.corpora --to {corpora} all")
    return sorted(found, key=lambda voice: (KINDS.index(voice.kind), voice.name))
