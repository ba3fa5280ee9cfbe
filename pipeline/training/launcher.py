"""`python -m pipeline.training.launcher DEVICES FOLDER`: accelerate's launcher, ended with the process that wants it.

Then, in each process that accelerate starts, the job in the folder: `python -m pipeline.training.launcher FOLDER`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipeline.training.devices import PARENT, call
from speech.process.lifetime import end_with


def _launch(devices: str, folder: str) -> None:
    from accelerate.commands.launch import launch_command, launch_command_parser

    end_with(int(os.environ[PARENT]))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ[PARENT] = str(os.getpid())
    # Also on a CPU: only so does accelerate start several processes there.
    several = ["--multi_gpu", "--num_machines", "1", "--num_processes", devices]
    plain = ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    threads = ["--num_cpu_threads_per_process", str(max(1, (os.cpu_count() or 1) // int(devices)))]
    arguments = [*several, *plain, *threads, "-m", "pipeline.training.launcher", folder]
    launch_command(launch_command_parser().parse_args(arguments))


def _work(folder: Path) -> None:
    end_with(int(os.environ[PARENT]))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # how the launcher ends it where another failed
    call(folder, first=os.environ["RANK"] == "0")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        _work(Path(sys.argv[1]))
    else:
        _launch(sys.argv[1], sys.argv[2])
