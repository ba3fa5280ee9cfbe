"""Hands what a stage records to Comet, in a process of its own.

`pipeline.tracking` runs this file; nothing imports it. comet_ml takes seconds to import, patches other libraries, hooks
the interpreter's exit and may wait for its server for hours. In here none of that touches the training.

The one argument is a JSON object: `stage` (the process id of the stage), `key` (of the experiment), `name`, `project`,
`workspace`, `online`, `journal` (a file of one JSON record per line, which grows while the stage runs), `archives` (the
folder for the offline archive) and `patience` (seconds that the server may take once the stage is over). Standard input
says when that is: it becomes readable. On standard output stands one JSON object per line: `ready`, `link`, `done` (a
link), `archive` (a path), `problem`.

Online, a forked child talks to Comet. Whatever becomes of it, this process still has the whole journal, and writes an
offline archive from it unless the child reports that everything has arrived.
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
from multiprocessing import connection
from pathlib import Path
from typing import Any

import comet_ml

POLL_SECONDS = 0.3
"""How often the journal is looked at for new records."""
ORPHAN_SECONDS = 3.0
"""Patience when the stage was killed: whoever stops the pipeline waits for its processes to go."""

Tell = Callable[..., None]


class Complaints(logging.Handler):
    """Tells the first thing that goes wrong, raised or, as comet_ml mostly does, logged. The API key is masked."""

    def __init__(self, tell: Tell, key: str | None) -> None:
        super().__init__(logging.ERROR)
        self.tell = tell
        self.key = key
        self.any = False

    def emit(self, record: logging.LogRecord) -> None:
        # A missed heartbeat costs no data, and the next one may arrive.
        if not record.name.startswith("comet_ml.heartbeat"):
            self.add(record.getMessage())

    def add(self, problem: str) -> None:
        """Tell `problem`, if it is the first: its first line, since it ends up in the run's log."""
        line = next((line for line in problem.splitlines() if line.strip()), "an error without a message")
        if not self.any:
            self.tell(problem=line.replace(self.key, "***") if self.key else line)
        self.any = True


def voice(stream: int) -> Tell:
    """A function that writes its keyword arguments as one line of JSON to the file descriptor `stream`."""

    def tell(**message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the stage was killed; what it recorded is kept nevertheless
            os.write(stream, (json.dumps(message) + "\n").encode())

    return tell


def stage_is_over(wait: float = 0.0) -> bool:
    """Whether standard input is readable, be it a byte or its end, waiting up to `wait` seconds. Nobody reads it."""
    return bool(select.select([sys.stdin], [], [], wait)[0])


def records(journal: Path) -> Iterator[dict[str, Any]]:
    """The journal's records from its beginning, each as it comes, until the stage is over and all are read."""
    with journal.open(encoding="utf-8") as file:
        rest = ""
        while True:
            over = stage_is_over()
            for piece in file:
                rest += piece
                if rest.endswith("\n"):
                    yield json.loads(rest)
                    rest = ""
            if over:
                return
            stage_is_over(POLL_SECONDS)


def play(journal: Path, experiment: comet_ml.CometExperiment) -> None:
    """Log every record of the journal to the experiment."""
    for record in records(journal):
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


def start(plan: dict[str, Any], online: bool) -> comet_ml.CometExperiment:
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
        offline_directory=str(Path(plan["journal"]).parent),
        name=plan["name"],
    )
    return comet_ml.start(
        online=online,
        mode="get_or_create",
        experiment_key=plan["key"],
        project_name=plan["project"],
        workspace=plan["workspace"],
        experiment_config=config,
    )


def send(plan: dict[str, Any], tell: Tell, complaints: Complaints) -> None:
    """Child process: stream the journal to Comet. Ends this process, with status 0 if Comet has everything."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (connection.wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    try:
        experiment = start(plan, online=True)
        if experiment.alive:
            tell(link=experiment.url)
            play(Path(plan["journal"]), experiment)
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


def sent(plan: dict[str, Any], tell: Tell, complaints: Complaints) -> bool:
    """Whether a child process got everything to Comet; it is ended in any case."""
    child = multiprocessing.get_context("fork").Process(target=send, args=(plan, tell, complaints), daemon=True)
    child.start()
    connection.wait([child.sentinel, sys.stdin.fileno()])
    child.join(plan["patience"] if os.getppid() == plan["stage"] else ORPHAN_SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
        complaints.add(f"the server did not take everything within {plan['patience']:.0f} s of the stage's end")
    return child.exitcode == 0


def write_archive(plan: dict[str, Any], tell: Tell, complaints: Complaints) -> None:
    """Write the journal as an archive for `comet upload`; it appears in the folder of archives when it is whole."""
    written: list[str] = []
    experiment = start(plan, online=False)
    experiment.set_offline_zip_uploader(written.append)
    play(Path(plan["journal"]), experiment)
    experiment.end()
    if written:
        archive = Path(plan["archives"]) / Path(written[0]).name
        shutil.move(written[0], archive)
        tell(archive=str(archive))
    else:
        complaints.add("no offline archive was written")


def main() -> None:
    plan = json.loads(sys.argv[1])
    # An interrupt from the terminal goes to all; this process ends when the stage does, after writing its archive.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell = voice(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    key = comet_ml.get_api_key(None, comet_ml.get_config())
    complaints = Complaints(tell, key)
    logging.getLogger("comet_ml").handlers = [complaints]
    tell(ready=True)
    if plan["online"] and not key:
        complaints.add("no API key, so tracking goes offline; set COMET_API_KEY where Dagster runs to track online")
    elif plan["online"] and sent(plan, tell, complaints):
        return
    write_archive(plan, tell, complaints)


if __name__ == "__main__":
    main()
