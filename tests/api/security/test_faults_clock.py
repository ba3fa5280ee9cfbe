"""The clock on the wall jumps back by a day: nothing waits for it to catch up."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import psutil
import pytest

from api.security.rates import Buckets
from speech.home import Home
from speech.serving import pointer
from speech.serving.history import read_history
from speech.serving.inventory import inventory
from speech.serving.pointer import publish, read_pointer, rollback
from tests.api.conftest import ended, started
from tests.api.test_service_process import Service, running, until
from tests.bundles import write_tiny_bundle

pytestmark = pytest.mark.long

DAY = 86_400.0
# Read by every Python process of the service when it starts.
SHIM = """
import time
steps = {path!r}
seconds, nanoseconds = time.time, time.time_ns
def shift():
    with open(steps) as file:
        return int(file.read())
time.time = lambda: seconds() + shift()
time.time_ns = lambda: nanoseconds() + shift() * 10**9
"""


class Earlier(datetime):
    """A clock that was a day ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) - timedelta(days=1)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that holds how many seconds the clock is off in processes started now."""
    steps = tmp_path / "seconds"
    steps.write_text("0")
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim" / "sitecustomize.py").write_text(SHIM.format(path=str(steps)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shim"))
    return steps


def workers(service: Service) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children()


@pytest.mark.system
def test_the_service_goes_on_and_a_dead_worker_is_replaced(clock: Path, tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as service:
        for name in ("tiny-1", "tiny-2"):
            write_tiny_bundle(service.home, name)
        service.publish("tiny-1")
        clock.write_text(str(-int(DAY)))
        assert {service.predict().status_code for _ in range(8)} == {200}
        service.point("current: nowhere\n")
        until(lambda: service.figure("vnyatno_bundles_refused_total") >= 2, "the refusal")
        service.publish("tiny-2")
        for turn in ("first", "second"):  # one look at the workers was due before the clock jumped
            dead = workers(service)[0]
            dead.kill()
            until(lambda dead=dead: len(workers(service)) == 2 and dead not in workers(service), f"the {turn} worker")
            until(lambda: service.workers_serving("tiny-2") == 2, "its bundle")
        assert {service.predict().json()["bundle"] for _ in range(8)} == {"tiny-2"}
        assert "Traceback" not in (tmp_path / "service.log").read_text()


def test_rates_do_not_stop_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = Buckets()
    before = buckets.take("anna", 60)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - DAY)
    after = buckets.take("anna", 60)
    assert (after.wait, after.remaining) == (0, before.remaining - 1)
    assert after.reset <= 2


@pytest.fixture
def moved_back(data_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Three bundles, the second and third published by a clock that had jumped back."""
    for name in ("tiny-1", "tiny-2", "tiny-3"):
        write_tiny_bundle(data_home, name)
    publish(data_home, "tiny-1")
    monkeypatch.setattr(pointer, "datetime", Earlier)
    publish(data_home, "tiny-2")
    publish(data_home, "tiny-3")
    return data_home


def test_what_was_published_last_serves_whatever_its_date(moved_back: Home) -> None:
    app = started(moved_back)
    serving = app.state.engine.serving()
    ended(app)
    assert (serving.bundle.id, serving.previous) == ("tiny-3", "tiny-2")
    assert rollback(moved_back).current == "tiny-2"
    pointer = read_pointer(moved_back)
    assert pointer is not None
    assert (pointer.current, pointer.previous) == ("tiny-2", "tiny-3")


def test_the_history_keeps_the_order_of_what_was_done(moved_back: Home) -> None:
    changes = read_history(moved_back)
    assert [change.after for change in changes] == ["tiny-1", "tiny-2", "tiny-3"]
    assert {change.action for change in changes} == {"published"}
    assert changes[1].at < changes[0].at


def test_no_bundle_is_younger_than_nothing(moved_back: Home) -> None:
    found = inventory(moved_back, now=datetime(2000, 1, 1, tzinfo=UTC))
    assert [bundle.age_seconds for bundle in found.bundles] == [0.0] * 3
