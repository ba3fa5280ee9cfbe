"""What a large encoder takes in memory: with two workers, under load, and while one bundle takes the other's place.

    python -m bench.memory                        # 300 M parameters, 2 workers, 4 clients, one swap
    python -m bench.memory --longest 60           # recordings as long as the service takes

The service is started as `make serve` starts it. Every 50 ms the memory of all its processes is summed: the launcher,
the supervisor, the workers and their decoders, with what they share counted once (PSS). Exits with 1 where that ever
reaches 4 GB or an answer is lost.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile

from bench.load import Reply, clients, form
from bench.models import SIZES, write_random_bundle
from bench.serving import PORT, ROOT, clips, launched, memory, running
from bench.swaps import NAMES, swap
from speech.home import Home
from speech.serving.pointer import publish

MOST_BYTES = 4e9  # the machine that serving must fit
_SAMPLED_SECONDS = 0.05
_QUIET_SECONDS = 5.0  # over which idle memory is looked at, after as long a time to settle


@dataclass
class Phase:
    """Memory in bytes at each look, and what clients were answered meanwhile."""

    memory: list[int] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def peak(self) -> float:
        """GB."""
        return max(self.memory) / 1e9

    @property
    def middle(self) -> float:
        """GB, the median."""
        return float(np.median(self.memory)) / 1e9

    @property
    def failed(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.status != 200]


@contextmanager
def watched(process: psutil.Process) -> Iterator[Phase]:
    """Sum the memory of a process and all below it every 50 ms, however long one look takes."""
    phase, end = Phase(), threading.Event()

    def look() -> None:
        began = due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            phase.memory.append(memory(process))
            due = max(due + _SAMPLED_SECONDS, time.monotonic())
        phase.seconds = time.monotonic() - began

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield phase
    finally:
        end.set()
        thread.join()


def quiet(process: psutil.Process) -> Phase:
    """The memory while nobody asks."""
    time.sleep(_QUIET_SECONDS)
    with watched(process) as phase:
        time.sleep(_QUIET_SECONDS)
    return phase


def stretched(recording: bytes, seconds: float) -> bytes:
    """The recording repeated until it lasts so long, as FLAC."""
    sound, rate = soundfile.read(io.BytesIO(recording), dtype="float32")
    buffer = io.BytesIO()
    soundfile.write(buffer, np.resize(sound, int(seconds * rate)), rate, format="FLAC")
    return buffer.getvalue()


def measured(home: Home, bodies: Sequence[bytes], options: argparse.Namespace) -> dict[str, Phase]:
    """The phases in order. Raises TimeoutError where a swap does not come about."""
    service = launched(home, options.workers)
    phases = {}
    with running(service) as (process, _):
        phases["idle"] = quiet(process)
        with clients(PORT, service.path, bodies, options.clients) as replies:
            with watched(process) as phases["under load"]:
                time.sleep(options.seconds)
            before = len(replies)
            phases["under load"].replies = replies[:before]
            with watched(process) as phases["during the swap"]:
                for number in range(options.swaps):
                    seconds = swap(home, PORT, NAMES[(number + 1) % 2], options.workers)
                    print(f"swap {number + 1}: all workers on the new bundle {seconds:.1f} s after publishing began")
                    time.sleep(options.pause)  # until requests that began with the old bundle are done
            phases["during the swap"].replies = replies[before:]
        phases["after"] = quiet(process)
    return phases


def main() -> int:
    """The command line; exits with 1 where the peak reaches 4 GB or an answer is lost."""
    parser = argparse.ArgumentParser(description="Measure what the service takes in memory.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--size", default="300M", choices=tuple(SIZES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load before the swap")
    parser.add_argument("--swaps", type=int, default=1)
    parser.add_argument("--pause", type=float, default=20.0, help="seconds of load after a swap")
    parser.add_argument("--longest", type=float, help="stretch the recordings to so many seconds")
    options = parser.parse_args()
    found = clips(options.archive, 30)
    bodies = [form(stretched(clip, options.longest) if options.longest else clip) for clip in found]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for seed, name in enumerate(NAMES):
            write_random_bundle(home, name, options.size, seed)
        publish(home, NAMES[0])
        phases = measured(home, bodies, options)
    return report(phases, options)


def report(phases: dict[str, Phase], options: argparse.Namespace) -> int:
    """Print what was seen; the exit status."""
    print(f"{options.size}, {options.workers} workers, {options.clients} clients; GB of all processes (PSS)")
    for name, phase in phases.items():
        asked = f"; {len(phase.replies)} answers, {len(phase.failed)} failed" if phase.replies else ""
        every = 1000 * phase.seconds / len(phase.memory)
        print(f"{name}: {phase.middle:.2f} median, {phase.peak:.2f} peak; a look every {every:.0f} ms{asked}")
    peak = max(phase.peak for phase in phases.values())
    failed = sum(len(phase.failed) for phase in phases.values())
    print(f"peak {peak:.2f} GB, {MOST_BYTES / 1e9:g} GB are allowed; {failed} answers lost")
    return 1 if failed or peak * 1e9 >= MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
