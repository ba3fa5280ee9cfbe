"""Hands what a stage records to Comet, in a process of its own.

`pipeline.tracking.comet` runs this file; nothing imports it. comet_ml takes seconds to import, patches other libraries,
hooks the interpreter's exit and may wait for its server for hours. In here none of that touches the training.

    stage --- journal (a file) ---> this process --- fork ---> child: online to Comet
      ^                                  |
      +--- lines on standard output -----+---> offline archive, unless the child reports that all has arrived

- The one argument is a `Plan` as JSON.
- The journal holds a JSON record per line and grows while the stage runs.
- Standard input becomes readable when the stage is over. Nobody reads it.
- Standard output holds a JSON object per line: `ready`, `link`, `done` (a link), `archive` (a path), `problem`.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import multiprocessing
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import comet_ml

POLL_SECONDS = 0.3
"""How often the journal is looked at for new records."""
ORPHAN_SECONDS = 3.0
"""Patience when the stage was killed: whoever stops the pipeline waits for its processes to go."""

Tell = Callable[..., None]
"""Says its keyword arguments to the stage, as one line of JSON."""


@dataclass(frozen=True)
class Plan:
    """What to track, and where. `stage` is the process id of the stage; `key`, `name`, `project` and `workspace` are
    the experiment's; `archives` is the folder for offline archives; `patience` is how many seconds the server may take
    once the stage is over."""

    stage: int
    key: str
    name: str
    project: str
    workspace: str | None
    online: bool
    journal: str
    archives: str
    patience: float


class Complaints(logging.Handler):
    """Tells the first thing that goes wrong, raised or, as comet_ml mostly does, logged. The API key is masked."""

    def __init__(self, tell: Tell, key: str | None) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self._key = key
        self.any = False

    def emit(self, record: logging.LogRecord) -> None:
        # A missed heartbeat costs no data, and the next one may arrive.
        if not record.name.startswith("comet_ml.heartbeat"):
            self.add(record.getMessage())

    def add(self, problem: str) -> None:
        """Tell the first line of `problem`, if it is the first problem: it ends up in the run's log."""
        line = next((line for line in problem.splitlines() if line.strip()), "an error without a message")
        if not self.any:
            self._tell(problem=line.replace(self._key, "***") if self._key else line)
        self.any = True


def main() -> None:
    """Track one stage from its journal, online where that is wanted and succeeds, else into an offline archive."""
    plan = Plan(**json.loads(sys.argv[1]))
    # An interrupt from the terminal goes to all; this process ends when the stage does, after writing its archive.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell = _teller(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what comet_ml prints is no message to the stage
    key = comet_ml.get_api_key(None, comet_ml.get_config())
    complaints = Complaints(tell, key)
    logging.getLogger("comet_ml").handlers = [complaints]
    tell(ready=True)
    if plan.online and not key:
        complaints.add("no API key, so tracking goes offline; set COMET_API_KEY where Dagster runs to track online")
    elif plan.online and _sent_by_child(plan, tell, complaints):
        return
    _write_archive(plan, tell, complaints)


def _teller(stream: int) -> Tell:
    """A `Tell` that writes to the file descriptor `stream`."""

    def tell(**message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the stage was killed; what it recorded is kept nevertheless
            os.write(stream, (json.dumps(message) + "\n").encode())

    return tell


def _sent_by_child(plan: Plan, tell: Tell, complaints: Complaints) -> bool:
    """Whether a child process got everything to Comet; it is ended in any case."""
    child = multiprocessing.get_context("fork").Process(target=_send, args=(plan, tell, complaints), daemon=True)
    child.start()
    connection.wait([child.sentinel, sys.stdin.fileno()])
    child.join(plan.patience if os.getppid() == plan.stage else ORPHAN_SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
        complaints.add(f"the server did not take everything within {plan.patience:.0f} s of the stage's end")
    return child.exitcode == 0


def _send(plan: Plan, tell: Tell, complaints: Complaints) -> None:
    """In the child: stream the journal to Comet. Ends the process, with status 0 if Comet has everything."""
    _end_with_parent()
    try:
        experiment = _experiment(plan, online=True)
        if experiment.alive:
            tell(link=experiment.url)
            _replay(Path(plan.journal), experiment)
            experiment.end()
            if experiment.streamer is None or not experiment.streamer.has_connection_to_server():
                complaints.add("the connection to the server was lost")
        elif not complaints.any:
            complaints.add("the server refused the experiment")
        if not complaints.any:
            tell(done=experiment.url)
    except Exception as error:
        # Broad, because whatever goes wrong in there means the same: it is told, and an archive written instead.
        complaints.add(f"{type(error).__name__}: {error}")
    os._exit(complaints.any)  # comet_ml's threads and exit hooks would wait for a server that is down


def _end_with_parent() -> None:
    """End this process, at once, when its parent ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def _write_archive(plan: Plan, tell: Tell, complaints: Complaints) -> None:
    """Write the journal as an archive for `comet upload`; it appears in the folder of archives when it is whole."""
    written: list[str] = []
    experiment = _experiment(plan, online=False)
    experiment.set_offline_zip_uploader(written.append)
    _replay(Path(plan.journal), experiment)
    experiment.end()
    if written:
        archive = Path(plan.archives) / Path(written[0]).name
        shutil.move(written[0], archive)
        tell(archive=str(archive))
    else:
        complaints.add("no offline archive was written")


def _experiment(plan: Plan, online: bool) -> comet_ml.CometExperiment:
    """The run's experiment: the same for all its stages, made by the first. Only what is in the journal is logged:
    source code, command lines, host names and outputs stay here."""
    config = comet_ml.ExperimentConfig(
        disabled=False,
        log_code=False,
        log_graph=False,
        parse_args=False,
        log_git_metadata=False,
        log_git_patch=False,
        log_env_details=False,
        auto_output_logging=False,  # type: ignore[arg-type]  # False is documented, the annotation says str
        auto_param_logging=False,
        auto_metric_logging=False,
        auto_log_co2=False,
        display_summary_level=0,
        offline_directory=str(Path(plan.journal).parent),
        name=plan.name,
    )
    return comet_ml.start(
        online=online,
        mode="get_or_create",
        experiment_key=plan.key,
        project_name=plan.project,
        workspace=plan.workspace,
        experiment_config=config,
    )


def _replay(journal: Path, experiment: comet_ml.CometExperiment) -> None:
    """Log every record of the journal to the experiment, until the stage is over."""
    for record in _records(journal):
        match record:
            case {"parameters": values}:
                experiment.log_parameters(values)
            case {"metrics": values, "step": step}:
                experiment.log_metrics(values, step=step)
            case {"confusion": matrix, "labels": labels, "name": name}:
                experiment.log_confusion_matrix(
                    matrix=matrix, labels=labels, title=name, file_name=f"{name}.json", max_categories=len(labels)
                )
            case {"picture": png, "name": name}:
                experiment.log_image(io.BytesIO(base64.b64decode(png)), name=name)


def _records(journal: Path) -> Iterator[dict[str, Any]]:
    """The journal's records from its beginning, each as it comes, until the stage is over and all are read."""
    with journal.open(encoding="utf-8") as file:
        half = ""  # of a line that is being written
        while True:
            over = _stage_is_over()  # before the journal is read, so that nothing written meanwhile is missed
            for piece in file:
                half += piece
                if half.endswith("\n"):
                    yield json.loads(half)
                    half = ""
            if over:
                return
            _stage_is_over(POLL_SECONDS)


def _stage_is_over(wait: float = 0.0) -> bool:
    """Whether standard input is readable, be it a byte or its end, waiting up to `wait` seconds."""
    return bool(select.select([sys.stdin], [], [], wait)[0])


if __name__ == "__main__":
    main()
