"""What a service must live through: thousands of malformed uploads, and processes killed under load.

    python -m bench.chaos uploads --count 10000
    python -m bench.chaos kills --count 50

Counts are printed; the exit status is 1 where a malformed upload got a 5xx or ended a process, or where a kill lost
more than what the killed process had in hand.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import soundfile

from bench.load import Reply, ask, clients, form, wait_until
from bench.models import write_random_bundle
from bench.serving import CLIENTS, ROOT, Service, clips, memory, running, services
from speech.home import Home
from speech.publishing import publish

_BOUNDARY = b"vnyatno-bench"  # of `bench.load.form`
_FORMATS = (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("WAV", "ALAW"), ("AIFF", "PCM_24"))
_UPLOADERS = 8
_BACK_SECONDS = 60.0  # within which a killed process must be back


def sounds(archive: Path) -> list[bytes]:
    """Whole recordings in many formats, to be broken."""
    seconds = np.arange(16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 220 * seconds)).astype(np.float32)
    made = []
    for kind, subtype in _FORMATS:
        file = io.BytesIO()
        soundfile.write(file, tone, 16_000, format=kind, subtype=subtype)
        made.append(file.getvalue())
    return [*made, *clips(archive, 10)]


def broken(data: bytes, rng: random.Random) -> bytes:
    """A recording cut off, with bytes changed, doubled, lost or made up."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 30))):
        at = rng.randrange(max(1, len(damaged)))
        match rng.randrange(6):
            case 0:
                damaged = damaged[:at]
            case 1 if damaged:
                damaged[min(at, len(damaged) - 1)] ^= 1 << rng.randrange(8)
            case 2:
                damaged[at:at] = rng.randbytes(rng.randrange(1, 200))
            case 3:
                del damaged[at : at + rng.randrange(1, 500)]
            case 4:
                damaged[at:at] = damaged[at : at + rng.randrange(1, 4000)]
            case _:  # sizes and counts of headers are mostly here
                head = min(len(damaged), 64)
                damaged[:head] = bytes(rng.choice((0, 255, byte)) for byte in damaged[:head])
    return bytes(damaged)


def malformed(recordings: Sequence[bytes], rng: random.Random) -> bytes:
    """The body of a form around a broken recording; one in four forms is broken itself."""
    names = ("clip.mp3", "", "../../etc/passwd", "a" * 5000, "\\x00", "клип.wav", "%s%n", "con")
    body = form(broken(rng.choice(recordings), rng), rng.choice(names))
    if rng.random() < 0.25:
        body = broken(body, rng)
    if rng.random() < 0.1:
        field = b'\r\nContent-Disposition: form-data; name="peaks"\r\n\r\n' + rng.choice(
            (b"-1", b"nan", b"9" * 400, b"")
        )
        body = b"--" + _BOUNDARY + field + b"\r\n" + body
    return body


def uploads(service: Service, port: int, options: argparse.Namespace) -> bool:
    """Send malformed uploads; whether all were answered as they should be."""
    recordings = sounds(options.archive)
    replies: list[Reply] = []

    def send(number: int) -> None:
        rng = random.Random(f"{options.seed} {number}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(options.count // _UPLOADERS):
            replies.append(ask(connection, service.path, number, malformed(recordings, rng)))
        connection.close()

    with running(service) as (process, _):
        sound_form = form(clips(options.archive, 1)[0])
        before_pids = workers(process)
        warm = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(100):
            ask(warm, service.path, 0, sound_form)
        before = memory(process)
        threads = [threading.Thread(target=send, args=(number,)) for number in range(_UPLOADERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = memory(process)
        alive = ask(warm, service.path, 0, sound_form).status == 200
        same = {worker.pid for worker in before_pids} == {worker.pid for worker in workers(process)}
    statuses = Counter(reply.status for reply in replies)
    print(
        f"{len(replies)} malformed uploads: {json.dumps(dict(sorted(statuses.items())))} (0: the connection was closed)"
    )
    print(
        f"memory {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after; the same workers: {same}; answers: {alive}"
    )
    return alive and same and not any(status >= 500 for status in statuses)


def workers(process: psutil.Process) -> list[psutil.Process]:
    """The processes that answer requests."""
    return [child for child in process.children() if "worker.service" in " ".join(child.cmdline())]


def kills(service: Service, port: int, options: argparse.Namespace) -> bool:
    """Kill a worker or one of its decoders again and again under load; whether no more was lost than it had in hand."""
    rng, bodies = random.Random(options.seed), [form(clip) for clip in clips(options.archive, 60)]
    fine, returned = True, []
    lost_in_all: Counter[str] = Counter()
    with running(service) as (process, _), clients(port, service.path, bodies, CLIENTS) as replies:
        count = len(workers(process))
        for number in range(options.count):
            time.sleep(rng.uniform(0.2, 2.0))
            worker = rng.choice(workers(process))
            decoders = worker.children()
            victim, kind = (rng.choice(decoders), "decoder") if decoders and number % 2 else (worker, "worker")
            in_hand = sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in _sockets(worker))
            began, known = time.monotonic(), len(replies)
            victim.kill()
            wait_until(lambda: len(workers(process)) == count, "return of the worker", 120)
            wait_until(partial(answering, replies, began), "an answer", 120)
            seconds = time.monotonic() - began
            time.sleep(0.5)
            lost = [reply for reply in list(replies)[known:] if reply.status != 200]
            lost_in_all[kind] += len(lost)
            returned.append(seconds)
            if len(lost) > max(1, in_hand):
                fine = False
                print(f"kill {number + 1}, {kind}: {len(lost)} answers lost, {in_hand} were in hand")
    print(
        f"{options.count} kills under {CLIENTS} clients: {len(replies)} answers, lost {json.dumps(dict(lost_in_all))}; "
        f"answers again after {np.median(returned):.1f} s (median), {max(returned):.1f} s (slowest)"
    )
    return fine and max(returned) < _BACK_SECONDS


def answering(replies: Sequence[Reply], since: float) -> bool:
    """Whether a request begun after `since` was answered."""
    return any(reply.began > since and reply.status == 200 for reply in replies[-200:])


def _sockets(worker: psutil.Process) -> list[psutil._common.pconn]:
    try:
        return worker.net_connections("tcp")
    except psutil.NoSuchProcess:
        return []


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Malformed uploads and killed processes.")
    parser.add_argument("what", choices=("uploads", "kills"))
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        write_random_bundle(home, "random", "small")
        publish(home, "random")
        ours = services(home, home.bundles / "random", 2)[0]
        settings = {**ours.environment, "VNYATNO_WORKERS": "2", "VNYATNO_QUEUE_SIZE": "1000"}
        service = Service(ours.name, ours.command, ours.ready, ours.path, settings)
        port = int(ours.command[-1])
        fine = (uploads if options.what == "uploads" else kills)(service, port, options)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
