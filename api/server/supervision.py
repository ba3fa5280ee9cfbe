"""What the process that supervises the workers must not do."""

from __future__ import annotations

import time

from tornado.ioloop import IOLoop


def keep_steady_time() -> None:
    """Called before the supervisor looks after its workers.

    It looks at moments given by the clock on the wall. After a jump back by a day it would not look for a day, and a
    worker that died would be missed for so long. Tornado schedules by differences alone, so any steady clock will do.
    """
    IOLoop.time = _steady  # type: ignore[method-assign]


def _steady(self: IOLoop) -> float:
    return time.monotonic()
