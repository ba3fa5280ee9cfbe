"""Other sound beside speech, silenced while a recording is heard: who hears words hears them in music and tones too.

Zeros stand for what is silenced, so that all else keeps its time. A stretch in which nobody speaks is silenced as a
whole, with its pauses and echoes, where more of it than a short knock is loud beside the speech. A quiet one stays: it
may hold a word that the network does not hear. `speech.audio.speech_guard` decides for a whole recording what is
judged; a prolonged sound of a stutter stays there, and is no word here.
"""

from __future__ import annotations

import numpy as np

from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS
from speech.audio.speech_guard import OTHER_DB, Span, runs
from speech.audio.vad import BATCH, FRAME, SpeechDetector, seconds_of


def _frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / FRAME)


_MARGIN = _frames(0.3)  # beside speech nothing is silenced: its soft beginnings and ends
_LEAST = _frames(0.5)  # of loud frames: less is a knock
_KNOWN = _frames(1.0)  # of speech, by which it is known how loud it is
_HELD = _frames(30.0)  # after that it is not waited any longer for speech
_UNKNOWN_POWER = 10 ** (-40 / 10)  # from which power on sound is loud that so long nobody has spoken beside


class OtherSound:
    """Silences other sound in one channel that comes in pieces; what it gives does not depend on their size.

    Sound is held until it is known whether it is silenced: till somebody speaks, 30 s at most.
    """

    def __init__(self, silence_dbfs: float = SILENCE_DBFS) -> None:
        """Frames fainter than `silence_dbfs` are no speech."""
        self.speech_seconds = 0.0
        """How long somebody speaks, as far as sound was added."""
        self._detector = SpeechDetector(silence_dbfs)
        self._held = np.empty(0, np.float32)  # sound that was not given yet
        self._spoken = np.empty(0, bool)  # of its frames
        self._power = np.empty(0)  # likewise
        self._given = 0  # samples
        self._after_speech = False  # whether speech was given last
        self._speech_power, self._speech_frames = 0.0, 0
        self._silenced: list[Span] = []

    def add(self, samples: np.ndarray) -> np.ndarray:
        """What the next mono samples (n,), 16 kHz, decide of the recording: samples (m,)."""
        self._held = np.concatenate([self._held, samples.astype(np.float32, copy=False)])
        found = self._detector.add(samples)
        # A batch at a time, so that the size of the pieces decides nothing.
        decided = [self._decided(found[at : at + BATCH], ended=False) for at in range(0, len(found), BATCH)]
        return np.concatenate(decided) if decided else self._held[:0]

    def finish(self) -> np.ndarray:
        """The rest of the recording."""
        return self._decided(self._detector.finish(), ended=True)

    def silenced(self, start: int, end: int) -> tuple[Span, ...]:
        """What is silenced of the recording's samples from `start` to `end`, counted from there. Later questions are
        of no earlier samples."""
        self._silenced = [span for span in self._silenced if span[1] > start]
        spans = [span for span in self._silenced if span[0] < end]
        return tuple((max(first, start) - start, min(last, end) - start) for first, last in spans)

    def _decided(self, found: np.ndarray, *, ended: bool) -> np.ndarray:
        self._take(found)
        known = len(self._spoken)
        speech = np.flatnonzero(self._spoken)
        count = int(speech[-1]) + 1 if len(speech) else 0
        if ended:
            count = known
        elif known - count > _HELD:
            count = known - _MARGIN  # speech may begin with the next frame
        elif self._speech_frames < _KNOWN and known <= _HELD:
            return self._held[:0]
        length = len(self._held) if ended else count * FRAME
        decided, self._held = self._held[:length], self._held[length:]
        spans = [(first * FRAME, min(last * FRAME, length)) for first, last in self._other(count)]
        if spans:
            decided = decided.copy()
        for first, last in spans:
            decided[first:last] = 0.0
            self._silenced.append((self._given + first, self._given + last))
        if count:
            self._after_speech = bool(self._spoken[count - 1])
        self._spoken, self._power = self._spoken[count:], self._power[count:]
        self._given += length
        return decided

    def _take(self, found: np.ndarray) -> None:
        """The next frames, of which it was found whether somebody speaks in them."""
        begin = len(self._spoken) * FRAME
        sound = self._held[begin : begin + len(found) * FRAME].astype(np.float64)
        power = np.array([np.mean(np.square(sound[at : at + FRAME])) for at in range(0, len(sound), FRAME)])
        self._spoken, self._power = np.concatenate([self._spoken, found]), np.concatenate([self._power, power])
        self.speech_seconds += seconds_of(found)
        self._speech_power += float(power[found].sum())
        self._speech_frames += int(np.count_nonzero(found))

    def _other(self, count: int) -> list[Span]:
        """The frames to silence of the first `count`."""
        least = _UNKNOWN_POWER
        if self._speech_frames:
            least = self._speech_power / self._speech_frames * 10 ** (OTHER_DB / 10)
        found = []
        for start, end in runs(~self._spoken[:count]):
            first = start + (_MARGIN if start > 0 or self._after_speech else 0)
            last = end - (_MARGIN if end < count else 0)
            if last > first and np.count_nonzero(self._power[first:last] >= least) >= _LEAST:
                found.append((first, last))
        return found
