"""What a recording of hours costs: memory beside that of one clip, and how fast it is cut.

    python -m bench.long --minutes 20             # a quick look
    python -m bench.long --minutes 180 --every 40 # three hours; every 40th window is judged

Clips of an archive are joined with pauses to an mp3 that is written as it grows, and cut and judged. Every 50 ms the
memory of this process and its child is summed, what they share counted once (PSS). Exits with 1 where hearing the
recording takes 200 MB more than hearing one clip as long as the longest window. Shares of decoding, resampling and
finding speech are of a second pass in this process, without a child.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path

import numpy as np
import psutil
import soundfile
import soxr
import torch

from bench.memory import watched
from bench.models import SIZES, write_random_bundle
from bench.serving import ROOT, clips
from speech.audio.pieces import Piece
from speech.audio.stream import Blocks
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.defects.diagnose import diagnose
from speech.defects.judged_window import JudgedWindow, judge_window
from speech.defects.recording_verdict import judge_recording
from speech.home import Home
from speech.longform import speech_windows
from speech.longform.child import windows
from speech.longform.cutter import Cutter, Listening, LongLimits, RecordingSummary

MOST_BYTES = 200e6  # above one clip
PAUSES = (0.3, 0.6, 1.5, 4.0)  # seconds
_ROOM = 1e-3  # noise of the room, of full scale


def write_recording(
    path: Path, recordings: Sequence[bytes], seconds: float, pauses: Sequence[float] = PAUSES, seed: int = 0
) -> None:
    """An mp3 of about so many seconds: the recordings in random order, with pauses between them."""
    chance, noise = random.Random(seed), np.random.default_rng(seed)
    sounds = [soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True) for data in recordings]
    rate = sounds[0][1]
    with soundfile.SoundFile(path, "w", rate, 1, format="MP3") as file:
        written = 0
        while written < seconds * rate:
            sound, _ = chance.choice(sounds)
            pause = np.zeros(int(chance.choice(pauses) * rate), np.float32)
            sound = np.concatenate([sound.mean(1), pause])
            file.write(sound + _ROOM * noise.standard_normal(len(sound)).astype(np.float32))
            written += len(sound)


def hear(path: Path, bundle: LoadedBundle, every: int) -> tuple[list[JudgedWindow], RecordingSummary, int]:
    """Every so manieth window judged, the summary, and how many windows there were."""
    audio = bundle.config.audio
    limits = LongLimits(min_seconds=audio.min_seconds, max_window_seconds=audio.max_seconds)
    found, count = [], 0
    with Cutter(path, Listening(), limits) as cutter:
        for window in cutter:
            if count % every == 0:
                found.append(judge_window(window, diagnose(bundle.model, [window.samples], bundle.calibration)[0]))
            count += 1
    return found, cutter.summary, count


def cut(path: Path) -> float:
    """Seconds that cutting takes with nobody judging."""
    began = time.perf_counter()
    with Cutter(path) as cutter:
        for _ in cutter:
            pass
    return time.perf_counter() - began


def shares(path: Path) -> dict[str, float]:
    """Seconds by what they are spent on, in this process."""
    spent = dict.fromkeys(("decoding", "resampling", "finding speech"), 0.0)

    def timed(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def run(*values: object, **options: object) -> object:
            began = time.perf_counter()
            answer = function(*values, **options)
            spent[name] += time.perf_counter() - began
            return answer

        return run

    class TimedBlocks(Blocks):
        def __iter__(self) -> Iterator[Piece]:
            pieces = super().__iter__()
            step = timed("decoding", lambda: next(pieces, None))
            while isinstance(piece := step(), Piece):
                yield piece

    stream, probabilities = soxr.ResampleStream, speech_windows.VoiceActivity.probabilities

    class TimedStream(stream):  # type: ignore[misc, valid-type]
        resample_chunk = timed("resampling", stream.resample_chunk)

    soxr.ResampleStream = TimedStream
    speech_windows.VoiceActivity.probabilities = timed("finding speech", probabilities)  # type: ignore[assignment, method-assign]
    try:
        began = time.perf_counter()
        with FileIO(path) as file:
            for _ in windows(TimedBlocks(file, LongLimits().shape), Listening(), LongLimits()):
                pass
        whole = time.perf_counter() - began
    finally:
        soxr.ResampleStream = stream
        speech_windows.VoiceActivity.probabilities = probabilities  # type: ignore[method-assign]
    return spent | {"all": whole}


def main() -> int:
    """The command line; exits with 1 where memory grows by 200 MB or more."""
    parser = argparse.ArgumentParser(description="Measure what a recording of hours takes.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--size", default="95M", choices=tuple(SIZES))
    parser.add_argument("--minutes", type=float, default=180.0)
    parser.add_argument("--every", type=int, default=1, help="judge only every so manieth window")
    options = parser.parse_args()
    recordings = clips(options.archive, 30)
    with tempfile.TemporaryDirectory() as folder:
        home, one, whole = Home(Path(folder)), Path(folder) / "one.mp3", Path(folder) / "long.mp3"
        write_random_bundle(home, "random", options.size)
        write_recording(one, recordings, 12.0, pauses=PAUSES[:1])
        write_recording(whole, recordings, 60 * options.minutes)
        torch.set_num_threads(1)
        bundle = load_bundle(home.bundles / "random")
        me = psutil.Process()
        with watched(me) as short:
            for _ in range(5):
                hear(one, bundle, 1)
        with watched(me) as long:
            began = time.perf_counter()
            found, summary, count = hear(whole, bundle, options.every)
            seconds = time.perf_counter() - began
        said = judge_recording(found, summary, None, bundle.calibration)
        print(f"{whole.stat().st_size / 1e6:.0f} MB of mp3, {summary.seconds / 3600:.2f} h, {summary.source_rate} Hz")
        print(f"{count} windows, {said.speech_share:.0%} speech, {len(found)} judged in {seconds:.0f} s: {said.label}")
        above = (short.peak, long.peak, long.middle)
        print("peak {:.3f} GB with one clip, {:.3f} GB with all (median {:.3f})".format(*above))
        lasted = cut(whole)
        print(f"cutting alone {lasted:.1f} s: {summary.seconds / lasted:.0f} times real time")
        spent = shares(whole)
        print(", ".join(f"{name} {part / spent['all']:.0%}" for name, part in spent.items()))
    more = (long.peak - short.peak) * 1e9
    print(f"{more / 1e6:.0f} MB more than with one clip; {MOST_BYTES / 1e6:.0f} are allowed")
    return 1 if more >= MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
