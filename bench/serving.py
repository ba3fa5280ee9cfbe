"""How fast recordings are answered: the service beside what others would write, the same weights, in one run.

    python -m bench.serving --rounds 3 --seconds 30

Each round measures every service in turn, alone on the machine, with 16 clients and with one; medians over the rounds
are printed. Before anything is timed, the answers are compared: a class probability may differ from that of fp32 by at
most 0.02, and a decision only where fp32 itself hardly prefers one class.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

from bench.load import Load, answers, ask, form, press, wait_until
from bench.models import write_random_bundle
from bench.peers import diagnosis as peer
from speech.audio.decode import decode
from speech.home import Home
from speech.serving.pointer import publish

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 16
SHORTEST, LONGEST = 3.0, 6.0  # seconds of the clips that are sent
MOST_DIFFERENT, MOST_FLIPPED = 0.02, 0.005
PORT = int(os.environ.get("VNYATNO_BENCH_PORT") or 18_700)  # another where two benches run at once


@dataclass(frozen=True)
class Service:
    """A service to be measured: how it is started, when it is ready, where recordings go."""

    name: str
    command: tuple[str, ...]
    ready: str
    path: str
    environment: Mapping[str, str]


@dataclass
class Figures:
    """One service's rounds: answers a second and seconds at 16 clients, median seconds at one, peak memory in bytes."""

    rate: list[float]
    slowest: list[float]
    median: list[float]
    memory: list[int]
    start: list[float]


def services(home: Home, bundle: Path, threads: int) -> list[Service]:
    """Ours and the peers, on the same bundle."""
    of_peer = {peer.BUNDLE: str(bundle), peer.THREADS: str(threads)}
    python = (sys.executable, "-m")
    return [
        Service(
            "Vnyatno",
            (*python, "api"),
            "/readyz",
            "/api/predict",
            {"VNYATNO_HOME": str(home.root), "VNYATNO_SERVICE_PORT": str(PORT)},
        ),
        Service(
            "FastAPI",
            (*python, "uvicorn", "bench.peers.fastapi_peer:app", "--port", str(PORT), "--log-level", "warning"),
            "/ready",
            "/predict",
            of_peer,
        ),
        Service(
            "BentoML",
            (*python, "bentoml", "serve", "bench.peers.bentoml_peer:Peer", "--host", "127.0.0.1", "--port", str(PORT)),
            "/readyz",
            "/predict",
            of_peer,
        ),
    ]


def launched(home: Home, workers: int) -> Service:
    """Our service as `make serve` starts it: the launcher, all settings but the number of workers as they ship."""
    environment = {
        "VNYATNO_HOME": str(home.root),
        "VNYATNO_SERVICE_PORT": str(PORT),
        "VNYATNO_WORKERS": str(workers),
    }
    command = (sys.executable, "-m", "deploy.run.launcher", "serve")
    return Service("Vnyatno", command, "/readyz", "/api/predict", environment)


def clips(archive: Path, count: int) -> list[bytes]:
    """So many mp3 recordings of 3 to 6 s of an archive."""
    chosen: list[bytes] = []
    with zipfile.ZipFile(archive) as file:
        for row in csv.DictReader(io.StringIO(file.read("data_train.csv").decode())):
            data = file.read(f"data_mp3/train/{row['file']}")
            if SHORTEST <= len(decode(data).samples) / 16_000 <= LONGEST:
                chosen.append(data)
            if len(chosen) == count:
                break
    return chosen


@contextmanager
def running(service: Service) -> Iterator[tuple[psutil.Process, float]]:
    """The service, ready, and the seconds that took; ended with all its processes."""
    began = time.monotonic()
    environment = os.environ | {"BENTOML_DO_NOT_TRACK": "True"} | dict(service.environment)
    process = subprocess.Popen(service.command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(PORT, service.ready), f"{service.name} ready")
        yield psutil.Process(process.pid), time.monotonic() - began
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        psutil.wait_procs(children, 30)


def memory(process: psutil.Process) -> int:
    """Bytes of all its processes, what they share counted once (PSS)."""
    total = 0
    for part in (process, *process.children(recursive=True)):
        try:
            total += part.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def probabilities(bodies: Sequence[bytes], path: str) -> np.ndarray:
    """(clips, classes), one request after another. Raises RuntimeError where a recording is not answered."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    rows = []
    for number, body in enumerate(bodies):
        reply = ask(connection, path, number, body)
        if reply.status != 200:
            raise RuntimeError(f"recording {number}: status {reply.status}, {reply.body}")
        rows.append(reply.body["predict_proba"])
    connection.close()
    return np.array(rows)


def compared(ours: np.ndarray, reference: np.ndarray) -> str:
    """How far our answers are from the reference. Raises RuntimeError where it is further than may be."""
    different = float(np.abs(ours - reference).max())
    top = np.sort(reference, axis=1)
    margin = top[:, -1] - top[:, -2]
    flipped = ours.argmax(1) != reference.argmax(1)
    text = f"probabilities differ by at most {different:.4f}, {flipped.sum()} of {len(ours)} decisions differ"
    if different > MOST_DIFFERENT or flipped.mean() > MOST_FLIPPED or (margin[flipped] >= MOST_DIFFERENT).any():
        raise RuntimeError(f"the answers are not equal: {text}")
    return text


def measured(service: Service, bodies: Sequence[bytes], seconds: float, figures: Figures) -> None:
    """One round, added to the figures."""
    with running(service) as (process, start):
        press(PORT, service.path, bodies, 1, 3.0)  # warm
        alone: Load = press(PORT, service.path, bodies, 1, seconds / 2)
        together = press(PORT, service.path, bodies, CLIENTS, seconds)
        failed = [reply.status for reply in (*alone.replies, *together.replies) if reply.status != 200]
        if failed:
            raise RuntimeError(f"{service.name}: {len(failed)} requests failed, with {sorted(set(failed))}")
        figures.rate.append(together.rate)
        figures.slowest.append(together.percentile(99))
        figures.median.append(alone.percentile(50))
        figures.memory.append(memory(process))
        figures.start.append(start)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure the service beside its peers.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--size", default="95M", choices=("95M", "300M"))
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="of load with 16 clients, in each round")
    options = parser.parse_args()
    recordings = clips(options.archive, options.clips)
    bodies = [form(clip) for clip in recordings]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        write_random_bundle(home, "random", options.size, heard=[decode(clip).samples for clip in recordings])
        publish(home, "random")
        kinds = services(home, home.bundles / "random", len(os.sched_getaffinity(0)))
        said = {}
        for service in kinds[:2]:
            with running(service):
                said[service.name] = probabilities(bodies, service.path)
        print(f"{len(bodies)} clips of {SHORTEST:g} to {LONGEST:g} s: {compared(said['Vnyatno'], said['FastAPI'])}")
        figures = {service.name: Figures([], [], [], [], []) for service in kinds}
        for number in range(1, options.rounds + 1):
            for service in kinds:
                measured(service, bodies, options.seconds, figures[service.name])
                last = {name: values[-1] for name, values in vars(figures[service.name]).items()}
                print(f"round {number}, {service.name}: {json.dumps({k: round(v, 3) for k, v in last.items()})}")
    for name, rounds in figures.items():
        middle = {figure: float(np.median(values)) for figure, values in vars(rounds).items()}
        print(
            f"{name:8} {middle['rate']:.2f} answers a second and {middle['slowest']:.2f} s at the 99th percentile with "
            f"{CLIENTS} clients, {middle['median']:.3f} s with one; ready in {middle['start']:.1f} s, "
            f"{middle['memory'] / 1e9:.2f} GB (torch {torch.__version__})"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
