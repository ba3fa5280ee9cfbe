"""Archives of calls: how fast they are judged beside the encoder alone, and how long a prediction waits meanwhile.

    python -m bench.batches --calls 500 --every 5

Calls of 10 to 60 s are joined from an archive's clips with pauses. The encoder's own pace is that of the same windows
(with `--every`, of each fifth) through `speech.defects.diagnose`, one thread a core, nothing else done. Then the
service judges the archive alone, and again while 1 and 4 clients predict. How long a batch delays a prediction is what
it takes beside one, less the longest that the same clip took with none."""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import requests
import soundfile
import torch

from bench.load import Load, form, press, wait_until
from bench.models import write_random_bundle
from bench.serving import PORT, ROOT, clips, launched, running
from speech.audio.decode import SAMPLE_RATE, decode
from speech.bundles.defects import LoadedBundle, load_bundle
from speech.bundles.precision import Precisions
from speech.defects.diagnose import diagnose
from speech.home import Home
from speech.longform.cutter import Cutter, LongLimits, hearing_server
from speech.serving.pointer import publish

SHORTEST, LONGEST = 10.0, 60.0  # seconds of a call
PAUSE = 0.3, 1.5  # seconds between clips
_PATIENCE = 6 * 3600.0
_URL = f"http://127.0.0.1:{PORT}/api/batches"


def calls(recordings: list[np.ndarray], count: int, seed: int = 0) -> list[np.ndarray]:
    """Calls, samples (n,) each, of clips joined with quiet pauses."""
    chance = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        parts: list[np.ndarray] = []
        wanted = chance.uniform(SHORTEST, LONGEST) * SAMPLE_RATE
        while sum(map(len, parts)) < wanted:
            pause = chance.normal(0, 1e-4, int(chance.uniform(*PAUSE) * SAMPLE_RATE)).astype(np.float32)
            parts += [recordings[int(chance.integers(len(recordings)))], pause]
        made.append(np.concatenate(parts)[: int(wanted)])
    return made


def write_zip(path: Path, sounds: list[np.ndarray]) -> None:
    """The calls as FLAC."""
    with zipfile.ZipFile(path, "w") as zipped:
        for number, sound in enumerate(sounds):
            buffer = io.BytesIO()
            soundfile.write(buffer, sound, SAMPLE_RATE, format="FLAC")
            zipped.writestr(f"{number:04}.flac", buffer.getvalue())


def encoder_alone(bundle: LoadedBundle, archive: Path, cores: int, every: int) -> tuple[float, float]:
    """Seconds of sound in all windows, the same as the service's, and how many of them the encoder alone judges a
    second: cut beforehand, and measured on one of `every` so many."""
    windows: list[np.ndarray] = []
    audio = bundle.config.audio
    limits = LongLimits(min_seconds=audio.min_seconds, max_window_seconds=audio.max_seconds)
    server = hearing_server()
    with zipfile.ZipFile(archive) as zipped, tempfile.TemporaryDirectory() as folder:
        for name in zipped.namelist():
            with Cutter(Path(zipped.extract(name, folder)), limits=limits, server=server) as cutter:
                windows += [window.samples for window in cutter]
    server.close()
    with ThreadPoolExecutor(cores, initializer=partial(torch.set_num_threads, 1)) as pool:
        judge = partial(_judged, bundle)
        list(pool.map(judge, windows[:cores]))  # warm
        began = time.monotonic()
        list(pool.map(judge, windows[::every]))
        pace = sum(map(len, windows[::every])) / SAMPLE_RATE / (time.monotonic() - began)
    return sum(map(len, windows)) / SAMPLE_RATE, pace


def _judged(bundle: LoadedBundle, samples: np.ndarray) -> None:
    diagnose(bundle.model, [samples], bundle.calibration)


def send(archive: Path, transcript: bool = False) -> str:
    """The batch's id."""
    with archive.open("rb") as file:
        options = {"transcript": str(transcript)}
        answer = requests.post(_URL, files={"file": (archive.name, file)}, data=options, timeout=600)
    answer.raise_for_status()
    return str(answer.json()["id"])


def shown(batch: str) -> dict[str, Any]:
    """The batch as it is now."""
    found: dict[str, Any] = requests.get(f"{_URL}/{batch}", timeout=600).json()
    return found


def line(name: str, load: Load) -> str:
    """One row of the figures."""
    return (
        f"{name}: p50 {load.percentile(50):.3f} s, p99 {load.percentile(99):.3f} s, "
        f"{len(load.answered)} of {len(load.replies)} answered"
    )


def delays(alone: Load, beside: Load) -> np.ndarray:
    """Seconds that each answer beside a batch took longer than the longest to the same clip with none."""
    longest: dict[int, float] = {}
    for reply in alone.answered:
        longest[reply.clip] = max(longest.get(reply.clip, 0.0), reply.seconds)
    late = [reply.seconds - longest[reply.clip] for reply in beside.answered if reply.clip in longest]
    return np.maximum(np.array(late), 0.0)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure archives of calls.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--size", default="95M", choices=("small", "95M", "300M"))
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0, help="of predictions, with each number of clients")
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--every", type=int, default=1, help="of how many windows one is judged by the encoder alone")
    parser.add_argument("--transcript", action="store_true", help="have the words kept besides")
    options = parser.parse_args()
    started = time.monotonic()
    cores = len(os.sched_getaffinity(0))
    recordings = clips(options.archive, 60)
    samples = [decode(clip).samples for clip in recordings]
    bodies = [form(clip) for clip in recordings]
    sounds = calls(samples, options.calls)
    with tempfile.TemporaryDirectory() as folder:
        home, archive = Home(Path(folder) / "home"), Path(folder) / "calls.zip"
        write_zip(archive, sounds)
        seconds = sum(map(len, sounds)) / SAMPLE_RATE
        print(f"{len(sounds)} calls, {seconds / 3600:.2f} h, {archive.stat().st_size / 1e6:.0f} MB, {cores} cores")
        write_random_bundle(home, "random", options.size, heard=samples)
        publish(home, "random")
        bundle = Precisions(home, cores).apply(load_bundle(home.bundles / "random"))
        judged, own = encoder_alone(bundle, archive, cores, options.every)
        print(f"the encoder alone ({bundle.precision.value}): {own:.2f} s of windows a second")
        del bundle
        with running(launched(home, 1)):
            press(PORT, "/api/predict", bodies, 1, 5.0)  # warm
            alone = {count: press(PORT, "/api/predict", bodies, count, options.seconds) for count in options.clients}
            began = time.monotonic()
            batch = send(archive, options.transcript)
            wait_until(lambda: shown(batch)["state"] == "done", "the end of the batch", _PATIENCE, 1.0)
            whole = time.monotonic() - began
            pace = judged / whole
            print(f"the batch: {whole:.1f} s, {pace:.2f} s of windows a second, {pace / own:.1%} of the encoder's own")
            print(f"files: {shown(batch)['files']}")
            for count in options.clients:
                batch = send(archive, options.transcript)
                wait_until(lambda batch=batch: shown(batch)["files"]["running"] > 0, "the batch")  # type: ignore[misc]
                beside = press(PORT, "/api/predict", bodies, count, options.seconds)
                state = shown(batch)["state"]
                requests.delete(f"{_URL}/{batch}", timeout=600)
                print(line(f"{count} client(s), no batch", alone[count]))
                print(line(f"{count} client(s), a batch ({state} at the end)", beside))
                ratio = [beside.percentile(share) / alone[count].percentile(share) for share in (50, 99)]
                print(f"{count} client(s): p50 {ratio[0]:.2f} times as long, p99 {ratio[1]:.2f} times")
                late = delays(alone[count], beside)
                print(
                    f"{count} client(s): delayed by {np.percentile(late, 99):.3f} s (p99), {late.max():.3f} s at most"
                )
            bound = requests.get(_URL, timeout=60).json()["longest_delay_seconds"]
            print(f"the bound that the service states: {bound:.3f} s")
    print(f"all of it took {(time.monotonic() - started) / 60:.1f} min")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
