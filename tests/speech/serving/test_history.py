from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from speech.home import Home
from speech.serving.history import MOST_BYTES, Change, append, history_file, read_history
from speech.serving.pointer import pointer_file, publish, read_pointer, rollback
from tests.bundles import write_tiny_bundle

ROOT = Path(__file__).parents[3]
FIRST = Change("2025-03-01T10:00:00+00:00", "published", None, "tiny-1", "по-русски")
SECOND = Change("2025-03-02T10:00:00+00:00", "rolled_back", "tiny-1", "tiny-2")


def moves(home: Home) -> list[tuple[str, str | None, str]]:
    return [(change.action, change.before, change.after) for change in read_history(home)]


def test_where_nothing_was_published_there_is_no_history(data_home: Home) -> None:
    assert read_history(data_home) == []


def test_changes_are_one_line_each_and_come_back(data_home: Home) -> None:
    for change in (FIRST, SECOND):
        append(data_home, "defects", change)
    assert read_history(data_home) == [FIRST, SECOND]
    lines = history_file(data_home).read_text(encoding="utf-8").splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"when", "what", "from", "to", "by"}] * 2


def test_publishing_and_rolling_back_are_written_down_with_who_did_it(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2"):
        write_tiny_bundle(data_home, name)
        publish(data_home, name, by="a test")
    publish(data_home, "tiny-2")  # serves already: nothing happens, nothing is noted
    pointer = rollback(data_home, by="somebody")
    assert moves(data_home) == [
        ("published", None, "tiny-1"), ("published", "tiny-1", "tiny-2"), ("rolled_back", "tiny-2", "tiny-1"),
    ]  # fmt: skip
    assert [change.by for change in read_history(data_home)] == ["a test", "a test", "somebody"]
    assert read_history(data_home)[-1].at == pointer.published


@pytest.mark.parametrize(
    "line",
    [
        b'{"when": "2025-03-02T10:00:00+00:00", "what": "publ',
        b"[]",
        b"\xff\xfe",
        b'{"when": 1, "what": "published", "from": null, "to": "tiny-2", "by": ""}',
        b'{"when": "", "what": "invented", "from": null, "to": "tiny-2", "by": ""}',
        b'{"when": "", "what": "published", "from": 3, "to": "tiny-2", "by": ""}',
        b"[" * 100_000,
    ],
    ids=["half", "list", "bytes", "number", "action", "from", "deep"],
)
def test_a_line_that_is_no_change_is_passed_over_and_spoils_no_other(data_home: Home, line: bytes) -> None:
    append(data_home, "defects", FIRST)
    with history_file(data_home).open("ab") as file:
        file.write(line)
    assert read_history(data_home) == [FIRST]
    append(data_home, "defects", SECOND)
    assert read_history(data_home) == [FIRST, SECOND]
    assert line in history_file(data_home).read_bytes()  # append-only


def test_the_file_is_capped_and_keeps_the_newest(data_home: Home) -> None:
    append(data_home, "defects", FIRST)
    line = history_file(data_home).read_bytes()
    history_file(data_home).write_bytes(line * (MOST_BYTES // len(line)))
    append(data_home, "defects", SECOND)
    assert history_file(data_home).stat().st_size <= MOST_BYTES // 2
    kept = read_history(data_home)
    assert kept[-1] == SECOND
    assert set(kept[:-1]) == {FIRST}
    assert len(kept) > MOST_BYTES // 2 // len(line) - 2  # half of them, not a few


def test_a_process_killed_while_it_writes_leaves_a_history_that_goes_on(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2", "tiny-3"):
        write_tiny_bundle(data_home, name)
    publish(data_home, "tiny-1")
    code = """
import os, signal, speech.serving.history as history
from speech.home import home
from speech.serving.pointer import publish
whole = history._line
def half(change):
    with history.history_file(home()).open("ab") as file:
        file.write(whole(change)[:40])
    os.kill(os.getpid(), signal.SIGKILL)
history._line = half
publish(home(), "tiny-2")
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert killed.returncode == -signal.SIGKILL
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert pointer.current == "tiny-2"  # the pointer is written before its history
    assert moves(data_home) == [("published", None, "tiny-1")]
    publish(data_home, "tiny-3")
    assert moves(data_home) == [
        ("published", None, "tiny-1"), ("found", "tiny-1", "tiny-2"), ("published", "tiny-2", "tiny-3"),
    ]  # fmt: skip
    assert read_history(data_home)[1].at == pointer.published


def test_a_pointer_older_than_its_history_is_noted_once(data_home: Home) -> None:
    for name in ("tiny-1", "tiny-2", "tiny-3"):
        write_tiny_bundle(data_home, name)
    data_home.serving.mkdir()
    pointer_file(data_home).write_text("current: tiny-1\n")  # by hand
    publish(data_home, "tiny-2")
    publish(data_home, "tiny-3")
    assert moves(data_home) == [
        ("found", None, "tiny-1"), ("published", "tiny-1", "tiny-2"), ("published", "tiny-2", "tiny-3"),
    ]  # fmt: skip


def test_a_history_that_cannot_be_written_keeps_no_bundle_from_service(
    data_home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    write_tiny_bundle(data_home, "tiny-1")
    history_file(data_home).mkdir(parents=True)
    publish(data_home, "tiny-1")
    pointer = read_pointer(data_home)
    assert pointer is not None
    assert pointer.current == "tiny-1"
    assert "the history lacks a change" in caplog.text
    assert read_history(data_home) == []
