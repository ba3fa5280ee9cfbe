from __future__ import annotations

import pytest

from api.security import rates
from api.security.rates import Buckets


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_minutes_worth_passes_at_once_and_then_as_the_rate_allows(clock: Clock) -> None:
    buckets = Buckets(clock=clock)
    assert [buckets.take("a", 6).wait for _ in range(6)] == [0] * 6
    refused = buckets.take("a", 6)
    assert refused.headers == {
        "RateLimit-Limit": "6",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "60",
        "Retry-After": "10",
    }
    clock.now += 9
    assert buckets.take("a", 6).wait == 1
    clock.now += 1
    allowed = buckets.take("a", 6)
    assert allowed.wait == 0
    assert "Retry-After" not in allowed.headers


def test_an_idle_bucket_holds_a_minutes_worth_and_no_more(clock: Clock) -> None:
    buckets = Buckets(clock=clock)
    assert buckets.take("a", 3).remaining == 2
    clock.now += 3600
    assert [buckets.take("a", 3).wait for _ in range(4)] == [0, 0, 0, 20]


def test_buckets_are_apart(clock: Clock) -> None:
    buckets = Buckets(clock=clock)
    buckets.take("a", 1)
    assert buckets.take("a", 1).wait
    assert not buckets.take("b", 1).wait


def test_workers_divide_the_rate(clock: Clock) -> None:
    buckets = Buckets(workers=3, clock=clock)
    assert [buckets.take("a", 6).wait for _ in range(3)] == [0, 0, 30]


def test_a_rate_below_one_a_worker_still_lets_one_in(clock: Clock) -> None:
    buckets = Buckets(workers=4, clock=clock)
    assert [buckets.take("a", 1).wait for _ in range(2)] == [0, 240]


def test_many_addresses_do_not_fill_memory(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_BUCKETS", 3)
    buckets = Buckets(clock=clock)
    for name in "abcad":
        buckets.take(name, 1)
    assert list(buckets._buckets) == ["c", "a", "d"]
