"""How near the encoder's forward comes to what the processor's matrix units can do.

    python -m bench.peak --clips 20 --rounds 3

The peak is that of a large product of bf16 matrices in torch, on all cores, in the same run. Operations are those of
products and convolutions as torch's own counter sees them in fp32; a precision is not credited with more for being
cheaper, so eight bits can show more than 100%.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.models import write_random_bundle
from speech.bundles.defects import load_bundle
from speech.defects.model import DefectModel, collate
from speech.defects.precision import in_precision, offered
from speech.encoders.precision import Precision
from speech.home import Home

_SIZE = 2048  # of the square matrices
_TRIES = 8


def matrix_peak(kind: torch.dtype, cores: int) -> float:
    """Operations a second of a product of square matrices: the best of some tries."""
    torch.set_num_threads(cores)
    left, right = (torch.randn(_SIZE, _SIZE).to(kind) for _ in range(2))
    best = 0.0
    for _ in range(_TRIES):
        began = time.perf_counter()
        torch.mm(left, right)
        best = max(best, 2 * _SIZE**3 / (time.perf_counter() - began))
    return best


def operations(model: DefectModel, clip: np.ndarray) -> int:
    """Operations of the encoder's forward on samples (n,)."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode(*collate([clip]))
    return int(counter.get_total_flops())


def seconds(model: DefectModel, clips: Sequence[np.ndarray], cores: int) -> float:
    """Seconds of wall clock for all clips, as the service computes them when many wait: one a core."""

    def hear(own: Sequence[np.ndarray]) -> None:
        torch.set_num_threads(1)
        with torch.inference_mode():
            for clip in own:
                torch.set_num_threads(1)  # torch takes it from whichever thread set one last
                model.encode(*collate([clip]))

    lanes = [threading.Thread(target=hear, args=(clips[number::cores],)) for number in range(cores)]
    began = time.perf_counter()
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    return time.perf_counter() - began


def main() -> int:
    """The command line."""
    from bench.serving import ROOT, clips
    from speech.audio.decode import decode

    parser = argparse.ArgumentParser(description="Hold the encoder's forward against the matrix peak.")
    parser.add_argument("--archive", type=Path, default=ROOT / "samples" / "mini.zip")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    sounds = [decode(clip).samples for clip in clips(options.archive, options.clips)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        write_random_bundle(home, "random", "95M")
        model = load_bundle(home.bundles / "random").model
        work = sum(operations(model, sound) for sound in sounds)
        peaks = {kind: matrix_peak(kind, cores) for kind in (torch.bfloat16, torch.float32)}
        print(f"matrix peak on {cores} cores: " + ", ".join(f"{k} {x / 1e9:.0f} GFLOP/s" for k, x in peaks.items()))
        for precision in (Precision.fp32, *offered(model)):
            computing = in_precision(model, precision)
            seconds(computing, sounds[: 2 * cores], cores)  # warm
            done = work / float(np.median([seconds(computing, sounds, cores) for _ in range(options.rounds)]))
            share = done / peaks[torch.bfloat16]
            print(f"{precision}: {done / 1e9:.0f} GFLOP/s in the encoder, {share:.0%} of the bf16 peak")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
