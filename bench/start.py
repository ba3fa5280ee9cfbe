"""How soon the service is ready: from the start of `make serve`'s process to 200 at /readyz.

    python -m bench.start                          # a bundle as large as the demo's, one worker and two, five runs each
    python -m bench.start --bundle var/bundles/<id> --workers 2

Each run starts all processes anew; what they read lies in the page cache, but for the first run after the machine's
start. Exits with 1 where a median reaches 8 s.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench.models import write_random_bundle
from bench.serving import launched, running
from speech.home import Home
from speech.serving.pointer import publish

MOST_SECONDS = 8.0


def starts(home: Home, workers: int, runs: int) -> list[float]:
    """Seconds of each start."""
    seconds = []
    for _ in range(runs):
        with running(launched(home, workers)) as (_, taken):
            seconds.append(taken)
    return seconds


def main() -> int:
    """The command line; exits with 1 where a median is too long."""
    parser = argparse.ArgumentParser(description="Measure how soon the service is ready.")
    parser.add_argument("--bundle", type=Path, help="a bundle's folder; else one is made with the encoder that ships")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        name = options.bundle.resolve().name if options.bundle else "random"
        if options.bundle:
            shutil.copytree(options.bundle, home.bundles / name)
        else:
            write_random_bundle(home, name, "small")
        publish(home, name)
        for workers in options.workers:
            seconds = starts(home, workers, options.runs)
            middle = statistics.median(seconds)
            slow = slow or middle >= MOST_SECONDS
            each = ", ".join(f"{value:.1f}" for value in seconds)
            print(f"{workers} workers: ready in {middle:.1f} s, median of {each}; {MOST_SECONDS:g} s are allowed")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
