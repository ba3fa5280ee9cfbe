"""How often: a token bucket per key or address.

The buckets are in one worker's memory, and each worker gives its share of the rate: nothing is shared between workers
or outlives a restart. Several workers together keep the rate on average, but a client whose requests all reach one
worker gets that worker's share alone.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MOST_BUCKETS = 10_000  # a megabyte or two; the least recently used goes first
_MINUTE = 60.0


@dataclass(frozen=True)
class Allowance:
    """What a bucket said: `limit` requests at once, `remaining` now, `reset` seconds until all are there again.

    `wait` is in seconds: 0 where the request may pass, else how long until one may.
    """

    limit: int
    remaining: int
    reset: int
    wait: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """For the answer; `Retry-After` where the request may not pass."""
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }
        return headers | ({"Retry-After": str(self.wait)} if self.wait else {})


class Buckets:
    """Token buckets by name; a new one is full."""

    def __init__(self, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # tokens, when counted

    def take(self, name: Hashable, per_minute: int) -> Allowance:
        """Take one request from the bucket `name`, which holds a minute's worth of this worker's share."""
        share = per_minute / self._workers
        capacity, now = max(1.0, share), self._clock()
        tokens, then = self._buckets.get(name, (capacity, now))
        tokens = min(capacity, tokens + (now - then) * share / _MINUTE)
        wait = 0
        if tokens >= 1:
            tokens -= 1
        else:
            wait = max(1, math.ceil((1 - tokens) * _MINUTE / share))
        self._buckets[name] = tokens, now
        self._buckets.move_to_end(name)
        while len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return Allowance(int(capacity), int(tokens), math.ceil((capacity - tokens) * _MINUTE / share), wait)
