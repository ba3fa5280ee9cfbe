from __future__ import annotations

import pytest

from deploy.run.restart_policy import RestartPolicy, RestartSchedule
from tests.deploy.conftest import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_pauses_grow_until_the_part_has_died_too_often(clock: Clock) -> None:
    restarts = RestartSchedule(clock=clock)
    pauses = []
    for _ in range(5):
        pauses.append(restarts.died("web"))
        clock.now += 60
    assert pauses == [1, 2, 4, 8, None]
    assert restarts.deaths("web") == 5


def test_no_pause_is_longer_than_the_longest() -> None:
    policy = RestartPolicy(first=2, longest=10, deaths=9)
    assert [policy.pause(deaths) for deaths in range(1, 10)] == [2, 4, 8, 10, 10, 10, 10, 10, None]


def test_a_part_is_due_when_its_pause_is_over(clock: Clock) -> None:
    restarts = RestartSchedule(clock=clock)
    assert restarts.due("web")
    restarts.died("web")
    restarts.died("web")
    clock.now += 1.9
    assert not restarts.due("web")
    assert restarts.due("service")
    clock.now += 0.1
    assert restarts.due("web")


def test_each_part_is_counted_for_itself(clock: Clock) -> None:
    restarts = RestartSchedule(clock=clock)
    for _ in range(4):
        restarts.died("web")
    assert restarts.died("service") == 1
    assert restarts.died("web") is None


def test_deaths_of_long_ago_do_not_count(clock: Clock) -> None:
    restarts = RestartSchedule(clock=clock)
    for _ in range(20):
        assert restarts.died("web") in (1, 2, 4, 8)
        clock.now += 151  # four within ten minutes, for ever
    clock.now += 600
    assert restarts.died("web") == 1
