"""What a service must live through: thousands of malformed uploads, and processes killed under load.

    python -m bench.chaos uploads --count 10000
    python -m bench.chaos kills --count 50
    python -m bench.chaos schema --count 1000      # requests that schemathesis makes up for each operation

Counts are printed; the exit status is 1 where a malformed upload got a 5xx or ended a process, where memory grew, or
where a kill lost more than what the killed process had in hand.

Workers, their decoders and the supervisor are killed in turn. A supervisor's workers end with it, and whoever started
it starts it anew: a container's restart policy, or systemd; here this program.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import requests

from bench.load import Reply, answers, ask, clients, form, wait_until
from bench.malformed import malformed, sounds
from bench.models import write_random_bundle
from bench.schema import examine
from bench.serving import CLIENTS, ROOT, clips, memory, services
from bench.swaps import served
from speech.home import Home
from speech.serving.pointer import publish

_PATH = "/api/predict"
_WORKERS = 2
_UPLOADERS = 8
_WARMING = 0.2  # share of the uploads after which memory counts as that of a warm service
_GROWTH = 0.1  # of the memory of a warm service, within which it is flat
_BACK_SECONDS = 300.0  # within which a killed process must be back; a busy machine starts torch slowly
_PER_CONNECTION = 5  # requests after which a client connects anew, so that the workers share them
_KINDS = ("worker", "decoder", "worker", "decoder", "supervisor")


@dataclass
class Kept:
    """A service that is started anew whenever it ends, as a container's restart policy does."""

    command: Sequence[str]
    environment: dict[str, str]
    port: int
    _process: subprocess.Popen[bytes] | None = None
    _end: threading.Event = field(default_factory=threading.Event)

    @property
    def supervisor(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        found = []
        for child in self.supervisor.children():
            with suppress(psutil.NoSuchProcess):
                if "worker.service" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def serving(self) -> bool:
        """Whether all workers are there and serve the bundle."""
        with suppress(OSError, psutil.NoSuchProcess):
            return len(self.workers()) == _WORKERS and sum(served(self.port).values()) == _WORKERS
        return False

    def keep(self) -> None:
        """Start it, and again when it has ended; until `end`."""
        while not self._end.is_set():
            self._process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL)
            children: list[psutil.Process] = []
            while self._process.poll() is None and not self._end.is_set():
                with suppress(psutil.NoSuchProcess):
                    children = self.supervisor.children(recursive=True)
                time.sleep(0.1)
            self._process.terminate()
            self._process.wait(30)
            psutil.wait_procs(children, 30)

    def end(self) -> None:
        self._end.set()


@contextmanager
def kept(home: Home, port: int) -> Iterator[Kept]:
    """Our service with two workers, ready."""
    ours = services(home, home.bundles / "random", _WORKERS)[0]
    settings = {
        **ours.environment,
        "VNYATNO_WORKERS": str(_WORKERS),
        "VNYATNO_QUEUE_SIZE": "1000",
        "VNYATNO_SERVICE_PORT": str(port),
    }
    service = Kept(ours.command, os.environ | {"BENTOML_DO_NOT_TRACK": "True"} | settings, port)
    thread = threading.Thread(target=service.keep)
    thread.start()
    try:
        wait_until(lambda: answers(port, ours.ready) and service.serving(), "the service")
        yield service
    finally:
        service.end()
        thread.join()


def uploads(service: Kept, options: argparse.Namespace) -> bool:
    """Send malformed uploads; whether all were answered as they should be."""
    recordings = sounds(options.archive)
    replies: list[Reply] = []

    def send(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
        for which in range(number, options.count, _UPLOADERS):
            rng = random.Random(f"{options.seed} {which}")
            replies.append(ask(connection, _PATH, which, malformed(recordings, rng)))
        connection.close()

    before = {worker.pid for worker in service.workers()}
    threads = [threading.Thread(target=send, args=(number,)) for number in range(_UPLOADERS)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(replies) >= _WARMING * options.count, "the first uploads", 3600)
    warm = memory(service.supervisor)
    for thread in threads:
        thread.join()
    after = memory(service.supervisor)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    alive = ask(connection, _PATH, 0, form(clips(options.archive, 1)[0])).status == 200
    connection.close()
    same = before == {worker.pid for worker in service.workers()}
    statuses = Counter(reply.status for reply in replies)
    codes = Counter(reply.body["code"] for reply in replies if reply.body and "code" in reply.body)
    print(f"{len(replies)} malformed uploads, statuses {dict(sorted(statuses.items()))} (0: the connection was closed)")
    print(f"codes {dict(codes.most_common())}")
    print(f"slowest answer {max(reply.seconds for reply in replies):.1f} s")
    print(
        f"memory (PSS) {warm / 1e6:.0f} MB after {_WARMING:.0%} of them, {after / 1e6:.0f} MB after all; "
        f"the same workers: {same}; a good recording is answered: {alive}"
    )
    fine = alive and same and after <= (1 + _GROWTH) * warm and not statuses[0]
    return fine and not any(status >= 500 for status in statuses)


@dataclass
class Toll:
    """What the kills of one kind of process cost."""

    killed: int = 0
    lost: list[int] = field(default_factory=list)
    refused: int = 0  # connections, while nothing listened
    back: list[float] = field(default_factory=list)  # seconds until all workers serve again


def kills(service: Kept, options: argparse.Namespace) -> bool:
    """Kill processes again and again under load; whether no more was lost than the killed ones had in hand."""
    rng, bodies = random.Random(options.seed), [form(clip) for clip in clips(options.archive, 60)]
    tolls = {kind: Toll() for kind in dict.fromkeys(_KINDS)}
    fine = True
    with clients(service.port, _PATH, bodies, CLIENTS, _PER_CONNECTION) as replies:
        for number in range(options.count):
            time.sleep(rng.uniform(0.5, 3.0))
            kind = _KINDS[number % len(_KINDS)]
            victim, most = chosen(service, kind, rng)
            began, known = time.monotonic(), len(replies)
            victim.kill()
            if kind != "decoder":  # a new one is started when the next recording comes
                wait_until(partial(replaced, service, victim), f"return of the {kind}", _BACK_SECONDS)
            wait_until(partial(answering, replies, began), "an answer", _BACK_SECONDS)
            toll = tolls[kind]
            toll.killed += 1
            toll.back.append(time.monotonic() - began)
            time.sleep(0.5)
            failed = [reply for reply in list(replies)[known:] if reply.status != 200]
            toll.refused += sum(reply.refused for reply in failed)
            lost = [reply for reply in failed if not reply.refused]
            toll.lost.append(len(lost))
            if len(lost) > most:
                fine = False
                statuses = dict(Counter(reply.status for reply in lost))
                print(f"kill {number + 1}, {kind}: {len(lost)} answers lost, {most} were in hand: {statuses}")
    print(f"{options.count} kills under {CLIENTS} clients: {sum(reply.status == 200 for reply in replies)} answers")
    for kind, toll in tolls.items():
        if toll.killed:
            print(
                f"{kind}: {toll.killed} killed, {sum(toll.lost)} answers lost (most at once {max(toll.lost)}), "
                f"{toll.refused} connections refused; all workers serve again after {np.median(toll.back):.1f} s "
                f"(median), {max(toll.back):.1f} s (slowest)"
            )
    return fine


def chosen(service: Kept, kind: str, rng: random.Random) -> tuple[psutil.Process, int]:
    """A process to be killed, and how many answers it has in hand at most."""
    if kind == "supervisor":
        return service.supervisor, sum(in_hand(worker) for worker in service.workers())  # they end with it
    worker = rng.choice(service.workers())
    if kind == "decoder":
        decoders = [child for child in worker.children() if "speech.audio.isolated" in " ".join(child.cmdline())]
        return rng.choice(decoders), 1
    worker.suspend()  # so that what is counted is what it has when it is killed
    return worker, in_hand(worker)


def in_hand(worker: psutil.Process) -> int:
    """Clients that a worker is connected to; ours ask without a pause."""
    return sum(one.status == psutil.CONN_ESTABLISHED for one in worker.net_connections("tcp"))


def replaced(service: Kept, victim: psutil.Process) -> bool:
    """Whether a killed process is gone and all workers serve."""
    return not victim.is_running() and service.serving()


def answering(replies: Sequence[Reply], since: float) -> bool:
    """Whether a request begun after `since` was answered."""
    return any(reply.began > since and reply.status == 200 for reply in replies[-200:])


def schema(service: Kept, options: argparse.Namespace) -> bool:
    """Have schemathesis ask whatever the OpenAPI document allows, and more; whether all was answered as it says."""
    before = {worker.pid for worker in service.workers()}
    base = f"http://127.0.0.1:{service.port}"
    with tempfile.TemporaryDirectory() as folder:
        examine(base, max(1, options.count // 10), options.seed + 1, Path(folder))
        # It asks one worker, through one connection; each has Whisper's weights in memory once words were asked of it.
        clip = clips(options.archive, 1)[0]
        for _ in range(16 * _WORKERS):
            requests.post(base + _PATH, files={"file": clip}, data={"words": "true"}, timeout=60).raise_for_status()
        warm = memory(service.supervisor)
        asked = examine(base, options.count, options.seed, Path(folder))
    after = memory(service.supervisor)
    print(asked.stdout)
    print(f"memory (PSS) {warm / 1e6:.0f} MB after a tenth as many before, {after / 1e6:.0f} MB after")
    same = before == {worker.pid for worker in service.workers()}
    return asked.returncode == 0 and same and after <= (1 + _GROWTH) * warm


_ORDEALS: dict[str, Callable[[Kept, argparse.Namespace], bool]] = {"uploads": uploads, "kills": kills, "schema": schema}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Malformed uploads, killed processes, made-up requests.")
    parser.add_argument("what", choices=tuple(_ORDEALS))
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--port", type=int, default=18_710)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        write_random_bundle(home, "random", "small")
        publish(home, "random")
        with kept(home, options.port) as service:
            fine = _ORDEALS[options.what](service, options)
    print("all as it should be" if fine else "NOT as it should be")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
