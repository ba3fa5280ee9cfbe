"""One channel of a long recording cut into windows of speech, at pauses where there are any.

A window ends where nobody speaks for `END_SECONDS`. So shorter pauses, such as a block of a stutter, stay inside a
window, and longer ones are never judged. A window that would grow too long is cut in the longest pause of its second
half, else in the last pause of its first half, else where speech is least probable in its last third.

A window with less than `LEAST_SECONDS` of speech is a click and is dropped. A window shorter than the shortest that may
be judged is widened into the pauses around it, and dropped where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np

from speech.audio.decode import SAMPLE_RATE, Levels
from speech.audio.vad import BATCH, FRAME, LEAST_SECONDS, SPEECH_FROM, SPEECH_UNTIL, VoiceActivity
from speech.longform.cutter import Channel, Window

END_SECONDS = 1.0
CUT_SECONDS = 0.2  # shorter pauses are closures of plosives
PAD_SECONDS = 0.128  # kept around speech: its soft beginnings and ends


def _frames(seconds: float) -> int:
    return ceil(seconds * SAMPLE_RATE / FRAME - 1e-9)


_END, _CUT, _LEAST, _PAD = map(_frames, (END_SECONDS, CUT_SECONDS, LEAST_SECONDS, PAD_SECONDS))


class ChannelCutter:
    """Takes one channel's samples in pieces of any size; the windows do not depend on how they are cut."""

    def __init__(self, channel: Channel, min_seconds: float, max_seconds: float, silence_dbfs: float) -> None:
        """Windows last from `min_seconds` to `max_seconds`; frames fainter than `silence_dbfs` are no speech. Raises
        ValueError where there are no such windows."""
        self.channel = channel
        self.speech_seconds = 0.0
        self.levels = Levels()
        self._least_samples = ceil(min_seconds * SAMPLE_RATE - 1e-6)
        self._shortest, self._longest = _frames(min_seconds), int(max_seconds * SAMPLE_RATE / FRAME + 1e-9)
        if self._longest < max(1, self._shortest):
            raise ValueError(f"windows of at most {max_seconds:g} s, but at least {min_seconds:g} s are judged")
        self._silence = 10 ** (silence_dbfs / 10)
        self._vad = VoiceActivity()
        self._sound = np.empty(0, np.float32)  # from the frame `_base` on
        self._base = 0
        self._likely: list[float] = []  # probability of each frame from `_first` on, 0 where there is no speech
        self._first = 0  # frame with which the open window begins, or the next could
        self._speaking = False
        self._quiet_frames = 0  # since the last of speech in the open window
        self._open = False
        self._judged = 0  # frames before which all is decided
        self._ended = 0  # frame before which the last window ended

    def add(self, samples: np.ndarray) -> Iterator[Window]:
        """Windows that end by the next samples (n,), mono, 16 kHz."""
        self.levels.add(samples)
        self._sound = np.concatenate([self._sound, samples])
        while len(self._sound) >= (self._judged - self._base + BATCH) * FRAME:
            yield from self._advance(BATCH)

    def finish(self) -> Iterator[Window]:
        """The windows that the end of the recording ends."""
        total = self._base * FRAME + len(self._sound)
        left = ceil(total / FRAME) - self._judged
        if left:
            self._sound = np.pad(self._sound, (0, (self._judged - self._base + BATCH) * FRAME - len(self._sound)))
            yield from self._advance(left)
        self._sound = self._sound[: total - self._base * FRAME]
        if self._open:
            last = self._judged - self._quiet_frames
            end = min(max(last + _PAD, self._first + self._shortest), self._judged)
            begin = max(self._base, self._ended, min(self._first, end - self._shortest))
            yield from self._window(begin, end, self._likely[: last - self._first])

    def _advance(self, count: int) -> Iterator[Window]:
        """Hear the next `BATCH` frames and decide the first `count` of them."""
        at = (self._judged - self._base) * FRAME
        frames = self._sound[at : at + BATCH * FRAME].reshape(BATCH, FRAME)
        probabilities = self._vad.probabilities(frames)
        probabilities[np.mean(np.square(frames), axis=1) < self._silence] = 0.0
        for probability in probabilities[:count].tolist():
            yield from self._frame(probability)
        self._forget()

    def _frame(self, probability: float) -> Iterator[Window]:
        self._speaking = probability >= (SPEECH_UNTIL if self._speaking else SPEECH_FROM)
        self._judged += 1
        if not self._open:
            if not self._speaking:
                return
            self._begin(self._judged - 1)
        self._likely.append(probability if self._speaking else 0.0)
        self._quiet_frames = 0 if self._speaking else self._quiet_frames + 1
        length = self._judged - self._first
        if self._quiet_frames >= _END and length >= self._shortest:
            last = self._judged - self._quiet_frames
            end = min(max(last + _PAD, self._first + self._shortest), self._judged)
            yield from self._window(self._first, end, self._likely[: last - self._first])
            self._close(end)
        elif length >= self._longest:
            end, following = self._place()
            yield from self._window(self._first, self._first + end, self._likely[:end])
            self._split(end, following)

    def _begin(self, frame: int) -> None:
        """Open a window for speech that begins with a frame."""
        self._first = max(self._first, frame - _PAD)
        self._likely = [0.0] * (frame - self._first)
        self._open = True

    def _close(self, end: int) -> None:
        self._open, self._likely, self._first, self._quiet_frames = False, [], end, 0

    def _split(self, end: int, following: int) -> None:
        """Go on after a cut: the next window begins where speech begins again, no earlier than `following`."""
        rest = self._likely[end:]
        self._close(self._first + end)
        speech = np.flatnonzero(rest)
        if len(speech):
            begin = max(0, min(following - end, int(speech[0])))
            self._first += begin
            self._likely = rest[begin:]
            self._open = True
            self._quiet_frames = len(rest) - 1 - int(speech[-1])

    def _place(self) -> tuple[int, int]:
        """Where to cut the open window, which is as long as may be: the frame it ends before, and that from which the
        next may begin."""
        likely = np.array(self._likely)
        pauses = [
            (start, end, (start + end) // 2)
            for start, end in _runs(likely == 0.0)
            if end - start >= _CUT and start > 0 and min(start + _PAD, (start + end) // 2) >= self._shortest
        ]
        late = [pause for pause in pauses if pause[2] >= self._longest // 2]
        if late or pauses:
            start, end, middle = max(late, key=lambda pause: (pause[1] - pause[0], pause[0])) if late else pauses[-1]
            return min(start + _PAD, middle), max(end - _PAD, middle)
        earliest = max(self._shortest, self._longest * 2 // 3, 1)
        tail = likely[earliest:]
        cut = earliest + (int(np.argmin(tail)) if len(tail) else 0)
        return cut, cut

    def _window(self, begin: int, end: int, likely: list[float]) -> Iterator[Window]:
        """The window of these frames, unless it holds too little; `likely` is of its frames that may hold speech."""
        self._ended = end
        spoken = _spoken(likely)
        samples = self._sound[(begin - self._base) * FRAME : (end - self._base) * FRAME].copy()
        if spoken < _LEAST or len(samples) < self._least_samples:
            return
        length = len(samples) / SAMPLE_RATE
        seconds = min(spoken * FRAME / SAMPLE_RATE, length)
        self.speech_seconds += seconds
        start = begin * FRAME / SAMPLE_RATE
        yield Window(self.channel, start, start + length, samples, seconds)

    def _forget(self) -> None:
        """Let go of sound that no window can hold any more."""
        oldest = self._first if self._open else max(self._first, self._judged - _PAD)
        drop = max(self._ended, oldest - self._shortest) - self._base
        if drop > 0:
            self._sound = self._sound[drop * FRAME :].copy()
            self._base += drop


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last frame of each stretch that is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _spoken(likely: list[float]) -> int:
    """Frames of speech, closures of plosives among them."""
    speech = np.array(likely) > 0.0
    gaps = [end - start for start, end in _runs(~speech) if start > 0 and end < len(speech) and end - start < _CUT]
    return int(speech.sum()) + sum(gaps)
