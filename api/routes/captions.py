"""A transcript in pieces that can be read along: segments, and the two forms of subtitles."""

from __future__ import annotations

import html
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speech.ctc.decoding import SpokenWord

LINE_LETTERS, LINES = 42, 2  # as broadcasters have it
LONGEST_SECONDS = 7.0  # that a segment is shown
PAUSE_SECONDS = 0.7  # a segment ends where nobody speaks for so long


@dataclass(frozen=True)
class Segment:
    """Words that are shown at once, in seconds of the recording; `lines` of at most `LINE_LETTERS`."""

    words: tuple[SpokenWord, ...]
    start: float
    end: float
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def mean_log_probability(self) -> float:
        """Of its words."""
        return sum(math.log(max(word.confidence, 1e-10)) for word in self.words) / len(self.words)

    @property
    def compression_ratio(self) -> float:
        """Of the text, as Whisper tells it: what repeats has a high one."""
        text = self.text.encode()
        return len(text) / len(zlib.compress(text))


def segments(words: Sequence[SpokenWord]) -> list[Segment]:
    """The words in order, cut where somebody pauses, and where a segment would be too long to read or to hear."""
    found: list[Segment] = []
    held: list[SpokenWord] = []
    for word in words:
        if held and not _belongs(word, held):
            found.append(_segment(held))
            held = []
        held.append(word)
    return [*found, _segment(held)] if held else found


def _belongs(word: SpokenWord, held: Sequence[SpokenWord]) -> bool:
    return (
        word.start - held[-1].end < PAUSE_SECONDS
        and word.end - held[0].start <= LONGEST_SECONDS
        and len(_lines([*held, word])) <= LINES
    )


def _segment(words: Sequence[SpokenWord]) -> Segment:
    start = words[0].start
    end = min(max(words[-1].end, start), start + LONGEST_SECONDS)
    return Segment(tuple(words), start, end, tuple(_lines(words)))


def _lines(words: Sequence[SpokenWord]) -> list[str]:
    lines: list[str] = []
    for word in words:
        # A word longer than a line, which no language here has, is broken.
        for piece in (word.text[at : at + LINE_LETTERS] for at in range(0, len(word.text), LINE_LETTERS)):
            if lines and len(lines[-1]) + 1 + len(piece) <= LINE_LETTERS:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
    return lines


def srt(found: Sequence[Segment]) -> str:
    """SubRip."""
    cues = (
        f"{number}\n{_moment(each.start, ',')} --> {_moment(each.end, ',')}\n" + "\n".join(each.lines)
        for number, each in enumerate(found, 1)
    )
    return "".join(f"{cue}\n\n" for cue in cues)


def vtt(found: Sequence[Segment]) -> str:
    """WebVTT."""
    cues = (
        f"{_moment(each.start, '.')} --> {_moment(each.end, '.')}\n" + html.escape("\n".join(each.lines), quote=False)
        for each in found
    )
    return "WEBVTT\n\n" + "".join(f"{cue}\n\n" for cue in cues)


def _moment(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
