"""Fifty swaps under load: whether an answer is lost or mixed, how soon all workers serve the new bundle, what it costs.

    python -m bench.swaps --swaps 50 --clients 16 --workers 2
    python -m bench.swaps --size 300M --swaps 6 --clients 4 --workers 1      # the memory of a large encoder

Clients ask without a pause, first with no swap, then while one of two bundles is published after the other; a training
runs beside them all the time. Every answer is held against what the bundle it names said of that recording before.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from bench.load import Reply, clients, form
from bench.models import SIZES, write_random_bundle
from bench.serving import CLIENTS, PORT, ROOT, Service, clips, memory, probabilities, running, services
from speech.home import Home
from speech.serving.pointer import publish

NAMES = ("swap-a", "swap-b")
SAME = 1e-3  # how far a probability may be from what the same bundle gave before, by rounding in another batch
_SAMPLED_SECONDS = 0.05


@dataclass
class Seen:
    """What a phase under load showed; memory in bytes, times in seconds."""

    replies: list[Reply] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    swapped: list[float] = field(default_factory=list)

    @property
    def failed(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.status != 200]

    @property
    def slowest(self) -> float:
        """Seconds within which 99 of 100 answers came."""
        return float(np.percentile([reply.seconds for reply in self.replies if reply.status == 200], 99))


@contextmanager
def sampled(process: psutil.Process, into: list[int]) -> Iterator[None]:
    """The memory of all serving processes (PSS), every 50 ms or as often as it can be read."""
    end = threading.Event()

    def look() -> None:
        while not end.wait(_SAMPLED_SECONDS):
            into.append(memory(process))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def train(home: str) -> None:
    """Train on the sample archive again and again, until ended."""
    import yaml

    os.environ["VNYATNO_HOME"] = home
    from dagster import DagsterInstance

    from pipeline.definitions import defs

    config = yaml.safe_load((ROOT / "configs" / "smoke.yaml").read_text(encoding="utf-8"))
    config["ops"]["archive"]["config"]["sources"] = [str(ROOT / "samples" / "mini.zip")]
    config["ops"]["bundle"]["config"]["publish"] = False
    with DagsterInstance.ephemeral() as instance:
        for seed in range(1_000):
            config["ops"]["heads"]["config"]["seed"] = seed
            defs.resolve_job_def("train").execute_in_process(config, instance)


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """A training beside what is measured, in a process and a data folder of its own."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=(str(folder),))
    process.start()
    try:
        yield
        if process.exitcode is not None:
            raise RuntimeError(f"the training ended with {process.exitcode} while the service was measured")
    finally:
        process.kill()
        process.join()


def served(port: int) -> dict[str, int]:
    """How many workers serve each bundle, by /metrics."""
    import requests

    lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text.splitlines()
    rows = (line for line in lines if line.startswith("vnyatno_bundle_workers{"))
    return {row.split('"')[1]: int(float(row.split()[-1])) for row in rows}


def swap(home: Home, port: int, bundle: str, workers: int) -> float:
    """Publish a bundle; seconds until all workers serve it. Raises TimeoutError after two minutes."""
    began = time.monotonic()
    publish(home, bundle)
    while served(port).get(bundle) != workers:
        if time.monotonic() - began > 120:
            raise TimeoutError(f"{bundle} is not served by {workers} workers after two minutes: {served(port)}")
        time.sleep(0.05)
    return time.monotonic() - began


def mixed(replies: Sequence[Reply], known: dict[str, np.ndarray]) -> int:
    """How many answers are not what the bundle that they name says of that recording."""
    good = (reply for reply in replies if reply.status == 200)
    return sum(
        bool(np.abs(np.array(reply.body["predict_proba"]) - known[reply.body["bundle"]][reply.clip]).max() > SAME)
        for reply in good
    )


def under_load(
    process: psutil.Process, service: Service, bodies: Sequence[bytes], options: argparse.Namespace, home: Home | None
) -> Seen:
    """Clients for as long as the swaps take, or without `home` for so many seconds."""
    seen = Seen()
    with sampled(process, seen.memory), clients(options.port, service.path, bodies, options.clients) as replies:
        if home is None:
            time.sleep(options.seconds)
        else:
            for number in range(options.swaps):
                seen.swapped.append(swap(home, options.port, NAMES[(number + 1) % 2], options.workers))
                time.sleep(options.pause)
        seen.replies = list(replies)
    return seen


def main() -> int:
    """The command line; exits with 1 where an answer was lost or mixed."""
    parser = argparse.ArgumentParser(description="Swap bundles under load.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--size", default="small", choices=tuple(SIZES))
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between a swap and the next publication")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load without swaps")
    parser.add_argument("--no-training", action="store_true", help="no training beside")
    options = parser.parse_args()
    bodies = [form(clip) for clip in clips(options.archive, 60)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "serving")
        for seed, name in enumerate(NAMES):
            write_random_bundle(home, name, options.size, seed)
        publish(home, NAMES[0])
        ours = services(home, home.bundles / NAMES[0], 2)[0]
        environment = {"VNYATNO_WORKERS": str(options.workers), "VNYATNO_QUEUE_SIZE": "1000"}
        service = Service(ours.name, ours.command, ours.ready, ours.path, {**ours.environment, **environment})
        options.port = PORT
        with running(service) as (process, _):
            known = {NAMES[0]: probabilities(bodies, service.path)}
            swap(home, options.port, NAMES[1], options.workers)
            known[NAMES[1]] = probabilities(bodies, service.path)
            swap(home, options.port, NAMES[0], options.workers)
            with training(Path(folder) / "training") if not options.no_training else nullcontext():
                time.sleep(0 if options.no_training else 30)  # until it computes
                quiet = under_load(process, service, bodies, options, None)
                busy = under_load(process, service, bodies, options, home)
    report(quiet, busy, mixed(busy.replies, known), options)
    return 1 if busy.failed or quiet.failed or mixed(busy.replies, known) else 0


def report(quiet: Seen, busy: Seen, mixed_up: int, options: argparse.Namespace) -> None:
    """What was seen, for people."""
    tenth = max(1, len(busy.memory) // 10)
    grown = np.median(busy.memory[-tenth:]) - np.median(busy.memory[tenth : 2 * tenth])
    print(
        f"{options.size}, {options.workers} workers, {options.clients} clients: {len(busy.swapped)} swaps, "
        f"{len(busy.replies)} answers, {len(busy.failed)} failed, {mixed_up} not of the bundle they name"
    )
    print(
        f"all workers on the new bundle: median {np.median(busy.swapped):.2f} s, slowest {max(busy.swapped):.2f} s "
        "after publishing began"
    )
    print(
        f"99th percentile {busy.slowest:.2f} s during swaps, {quiet.slowest:.2f} s without: "
        f"{busy.slowest / quiet.slowest:.2f} times"
    )
    print(f"peak memory (PSS) {max(busy.memory) / 1e9:.2f} GB; it grew by {grown / 1e6:+.0f} MB over the swaps")


if __name__ == "__main__":
    sys.exit(main())
