"""Judge a folder or a zip of calls without a service: `python -m calls FOLDER_OR_ZIP --out RESULTS`.

Ends in results.jsonl, files.csv, windows.csv and results.xlsx below RESULTS, the same as the service gives. Started
again after it was broken off, it goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from calls.batch import LOCAL, Batch, NewBatch, NewItem, listening_as_dict
from calls.errors import IntakeError
from calls.intake import IntakeLimits, from_folder, from_zip
from calls.results import FileRows, WindowRows, lines
from calls.store import Store
from calls.tables import csv_lines, write_xlsx
from speech.bundles.defects import BundleError, LoadedBundle, check_id, load_bundle
from speech.files import digest_of
from speech.home import Home, home
from speech.longform.cutter import Listening, LongLimits
from speech.process.background import NAME
from speech.serving.pointer import PointerError, read_pointer
from speech.whisper.backend import TranscriberError
from speech.whisper.hearer import require_whisper
from speech.whisper.hearer_pool import HearerPool, transcribed_at_once
from speech.whisper.weights import OFFLINE_MODEL

_WORK = ".calls"
_SHOWN = 20  # failures that are printed; the results hold all
_LOOK_SECONDS = 0.5


class CommandError(ValueError):
    """What stands in the way, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m calls", description="Judge a folder or a zip of calls.")
    parser.add_argument("source", type=Path, help="a folder, read with all below it, or a .zip")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; the same one goes on with it")
    parser.add_argument("--sides", action="store_true", help="judge each channel by itself: one verdict a side")
    parser.add_argument("--transcript", action="store_true", help="keep the words besides, heard by Whisper")
    parser.add_argument("--words-model", default=OFFLINE_MODEL, help="Whisper model for that; default: %(default)s")
    parser.add_argument("--window-seconds", type=float, default=Listening().window_seconds, help="default: %(default)g")
    parser.add_argument("--bundle", help="id of a bundle in the data folder; without one, the one in service")
    parser.add_argument("--precision", choices=("auto", "fp32"), default="auto", help="as the service's setting")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        listening = Listening(options.sides, options.window_seconds, options.transcript)
        if listening.transcript:
            require_whisper(options.words_model)
        store, batch = _taken_in(options.source.resolve(), options.out.resolve(), listening)
        if store.batch(batch).state != "done":  # type: ignore[union-attr]
            bundle = _loaded(home(), options.bundle, options.precision, options.threads)
            _judge_all(store, batch, bundle, options.threads, options.words_model)
        _write(store, batch, options.out.resolve())
    except KeyboardInterrupt:
        print("\nbroken off; the same command goes on from here", file=sys.stderr)
        return 130
    except (
        CommandError, IntakeError, BundleError, PointerError, TranscriberError, OSError, sqlite3.Error, ValueError,
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        return 1
    return _told(store, batch, options.out)


def _taken_in(source: Path, out: Path, listening: Listening) -> tuple[Store, str]:
    """The store below `out`, and the id of the batch in it, which was there already if this was begun before."""
    items, kind = _items(source)
    known = [[item.name, item.source, item.bytes, _changed(source, kind, item)] for item in items]
    batch = digest_of([str(source), listening_as_dict(listening), known])[:24]
    store = Store(out / _WORK)
    if store.batch(batch) is None:
        if store.batches(LOCAL, 1):
            raise CommandError(
                f"{out} holds results of other files or options, or {source} has changed since; name another folder "
                "with --out, or delete that one"
            )
        store.folder_of(batch).mkdir(exist_ok=True)
        store.add(NewBatch(batch, LOCAL, kind, source.name, 0, listening, str(source)), items)
    return store, batch


def _items(source: Path) -> tuple[list[NewItem], Literal["folder", "zip"]]:
    limits = IntakeLimits(max_files=1_000_000, max_file_bytes=1 << 50, max_bytes=1 << 60)
    if source.is_dir():
        return from_folder(source, limits), "folder"
    if not source.is_file():
        raise CommandError(f"{source}: there is no such folder or file")
    return from_zip(source, source.name, limits), "zip"


def _changed(source: Path, kind: str, item: NewItem) -> int:
    return (source / item.source if kind == "folder" else source).stat().st_mtime_ns


def _loaded(target: Home, bundle: str | None, precision: str, threads: int) -> LoadedBundle:
    from speech.bundles.precision import Precisions

    if bundle is None:
        pointer = read_pointer(target)
        if pointer is None:
            raise CommandError(f"no bundle is in service in {target.root}; name one with --bundle, or set VNYATNO_HOME")
        bundle = pointer.current
    loaded = load_bundle(target.bundles / check_id(bundle))
    return Precisions(target, threads).apply(loaded) if precision == "auto" else loaded


def _judge_all(store: Store, batch: str, bundle: LoadedBundle, threads: int, words_model: str) -> None:
    import torch

    from calls.crew import Crew
    from speech.defects.diagnose import Diagnosis, diagnose

    with (
        ThreadPoolExecutor(threads, f"{NAME}-window", partial(torch.set_num_threads, 1)) as pool,
        ThreadPoolExecutor(transcribed_at_once(threads), f"{NAME}-words") as words,
    ):

        def submit(_: str, samples: np.ndarray) -> Future[Diagnosis]:
            return pool.submit(lambda: diagnose(bundle.model, [samples], bundle.calibration)[0])

        hearers = HearerPool(words_model, words.submit)
        crew = Crew(store, lambda: bundle, submit, long_limits, hearers, threads)
        crew.start()
        try:
            _shown(store, batch)
        finally:
            crew.close()
            hearers.close()
            pool.shutdown(cancel_futures=True)
            words.shutdown(cancel_futures=True)


def long_limits(bundle: LoadedBundle) -> LongLimits:
    """What a call may be that the bundle is to judge."""
    audio = bundle.config.audio
    return LongLimits(min_seconds=audio.min_seconds, max_window_seconds=audio.max_seconds)


def _shown(store: Store, batch: str) -> None:
    """The progress, until nothing is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0)
        while True:
            now = store.batch(batch)
            assert now is not None
            bar.update(task, completed=now.progress, description=_line(now))
            if now.state == "done":
                return
            threading.Event().wait(_LOOK_SECONDS)


def _line(batch: Batch) -> str:
    files = batch.files
    text = f"{files.get('done', 0)} of {sum(files.values())} files, {batch.seconds / 3600:.1f} h of sound"
    if failed := files.get("failed", 0):
        text += f", {failed} failed"
    if batch.seconds_left is not None:
        minutes = round(batch.seconds_left / 60)
        text += f", {minutes // 60} h {minutes % 60} min left"
    return text


def _write(store: Store, batch: str, out: Path) -> None:
    for name, text in (
        ("results.jsonl", lines(store, batch)),
        ("files.csv", csv_lines(FileRows(store, batch))),
        ("windows.csv", csv_lines(WindowRows(store, batch))),
    ):
        with (out / _WORK / name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(text)
        os.replace(out / _WORK / name, out / name)
    write_xlsx(store, batch, out / _WORK / "results.xlsx")
    os.replace(out / _WORK / "results.xlsx", out / "results.xlsx")


def _told(store: Store, batch: str, out: Path) -> int:
    """Say what came of it; 1 where no file could be judged."""
    files = store.batch(batch).files  # type: ignore[union-attr]
    for failure in store.failures(batch, _SHOWN):
        print(f"{failure.name}: {failure.detail} ({failure.code})", file=sys.stderr)
    if (more := files.get("failed", 0) - _SHOWN) > 0:
        print(f"… and {more} more", file=sys.stderr)
    print(f"{files.get('done', 0)} of {sum(files.values())} files judged; results in {out}")
    return 0 if files.get("done") else 1


if __name__ == "__main__":
    raise SystemExit(main())
