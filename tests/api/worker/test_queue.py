from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
import pytest

from api.threads import Closed
from api.worker.queue import Batcher, QueueFull


class Model:
    """Doubles each recording's first sample; negative ones fail. Notes what it was given, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, clips: Sequence[np.ndarray]) -> list[float]:
        self.go_on.wait(10)
        self.batches.append([len(clip) for clip in clips])
        if any(clip[0] < 0 for clip in clips):
            raise FloatingPointError("negative")
        return [2 * float(clip[0]) for clip in clips]


def compute(model: Model, clips: Sequence[np.ndarray]) -> list[float]:
    return model(clips)


def clip(value: float, length: int = 100) -> np.ndarray:
    return np.full(length, value, dtype=np.float32)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def queued(batcher: Batcher[Model, float], work: Sequence[tuple[Model, np.ndarray]]) -> list[asyncio.Task[float]]:
    """Submit while the model is held up: the first is being computed, the others wait."""
    tasks = []
    for model, samples in work:
        tasks.append(asyncio.create_task(batcher.submit(model, samples)))
        await asyncio.sleep(0.01)
    return tasks


def test_every_recording_gets_its_own_result() -> None:
    async def scenario() -> list[float]:
        with closing(Batcher(compute, batch_size=4)) as batcher:
            model = Model()
            return await asyncio.gather(*(batcher.submit(model, clip(value)) for value in range(20)))

    assert asyncio.run(scenario()) == [2 * value for value in range(20)]


def test_a_batch_holds_what_is_alike_and_waits_longest() -> None:
    async def scenario() -> list[list[int]]:
        with closing(Batcher(compute, batch_size=3)) as batcher:
            model = Model()
            model.go_on.clear()
            tasks = await queued(batcher, [(model, clip(1, length)) for length in (10, 100, 400, 120, 90, 140, 600)])
            model.go_on.set()
            await asyncio.gather(*tasks)
            return model.batches

    assert asyncio.run(scenario()) == [[10], [100, 120, 90], [400, 600], [140]]


def test_batch_size_one_computes_one_by_one() -> None:
    async def scenario() -> list[list[int]]:
        with closing(Batcher(compute)) as batcher:
            model = Model()
            model.go_on.clear()
            tasks = await queued(batcher, [(model, clip(1))] * 3)
            model.go_on.set()
            await asyncio.gather(*tasks)
            return model.batches

    assert asyncio.run(scenario()) == [[100], [100], [100]]


def test_a_bad_recording_fails_alone() -> None:
    async def scenario() -> list[float | BaseException]:
        with closing(Batcher(compute, batch_size=8)) as batcher:
            model = Model()
            model.go_on.clear()
            tasks = await queued(batcher, [(model, clip(value)) for value in (1, 2, -3, 4)])
            model.go_on.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, bad, fourth = asyncio.run(scenario())
    assert (first, second, fourth) == (2, 4, 8)
    assert isinstance(bad, FloatingPointError)


def test_a_recording_is_judged_by_the_model_it_came_with() -> None:
    async def scenario() -> tuple[Model, Model]:
        with closing(Batcher(compute, batch_size=8)) as batcher:
            old, new = Model(), Model()
            old.go_on.clear()
            tasks = await queued(
                batcher, [(old, clip(1)), (old, clip(2)), (new, clip(3)), (old, clip(4)), (new, clip(5))]
            )
            old.go_on.set()
            assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
            return old, new

    old, new = asyncio.run(scenario())
    assert [len(batch) for batch in old.batches] == [1, 2]
    assert [len(batch) for batch in new.batches] == [2]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def scenario() -> None:
        with closing(Batcher(compute, queue_size=2)) as batcher:
            model = Model()
            model.go_on.clear()
            tasks = await queued(batcher, [(model, clip(1))] * 3)
            assert batcher.waiting == 2
            with pytest.raises(QueueFull) as refused:
                await batcher.submit(model, clip(9))
            assert refused.value.retry_after >= 1
            model.go_on.set()
            assert await asyncio.gather(*tasks) == [2, 2, 2]
            assert await batcher.submit(model, clip(4)) == 8

    asyncio.run(scenario())


def test_a_cancelled_recording_is_not_computed_and_gives_its_place_back() -> None:
    async def scenario() -> Model:
        with closing(Batcher(compute, queue_size=2)) as batcher:
            model = Model()
            model.go_on.clear()
            tasks = await queued(batcher, [(model, clip(1, 100)), (model, clip(1, 200)), (model, clip(1, 300))])
            tasks[1].cancel()
            await until(lambda: tasks[1].done())
            (last,) = await queued(batcher, [(model, clip(1, 400))])
            model.go_on.set()
            await asyncio.gather(tasks[0], tasks[2], last)
            return model

    assert asyncio.run(scenario()).batches == [[100], [300], [400]]


def test_a_recording_cancelled_while_it_is_computed_harms_nobody() -> None:
    async def scenario() -> float:
        with closing(Batcher(compute)) as batcher:
            model = Model()
            model.go_on.clear()
            first, second = await queued(batcher, [(model, clip(1)), (model, clip(2))])
            first.cancel()
            model.go_on.set()
            return await second

    assert asyncio.run(scenario()) == 4


def test_where_several_wait_each_takes_a_core_and_a_lone_one_takes_all() -> None:
    told: dict[str, int] = {}

    def use_cores(count: int) -> None:
        told[threading.current_thread().name] = count

    async def scenario() -> list[str]:
        names: list[str] = []
        three_at_once = threading.Barrier(3, timeout=10)

        def compute(number: int, clips: Sequence[np.ndarray]) -> list[float]:
            names.append(threading.current_thread().name)
            if number:
                three_at_once.wait()
            return [0.0 for _ in clips]

        with closing(Batcher(compute, cores=3, use_cores=use_cores)) as batcher:
            await batcher.submit(0, clip(1))
            await asyncio.gather(*(batcher.submit(1, clip(value)) for value in range(6)))
            return names

    names = asyncio.run(scenario())
    assert names[0] == "vnyatno-model-0"
    assert set(names[1:]) == {"vnyatno-model-core-0", "vnyatno-model-core-1", "vnyatno-model-core-2"}
    assert told == {"vnyatno-model-0": 3, **{f"vnyatno-model-core-{number}": 1 for number in range(3)}}


def test_a_lone_recording_is_left_all_cores_until_it_is_done() -> None:
    async def scenario() -> tuple[list[list[int]], list[list[int]]]:
        with closing(Batcher(compute, cores=2)) as batcher:
            model = Model()
            model.go_on.clear()
            tasks = await queued(batcher, [(model, clip(1, length)) for length in (10, 20, 30)])
            waiting = batcher.waiting
            model.go_on.set()
            await asyncio.gather(*tasks)
            return [[waiting]], model.batches

    waiting, batches = asyncio.run(scenario())
    assert waiting == [[2]]
    assert batches[0] == [10]
    assert sorted(batches[1:]) == [[20], [30]]


def test_a_closed_one_ends_its_threads_after_what_was_asked() -> None:
    async def scenario() -> list[float | BaseException]:
        batcher, model = Batcher(compute), Model()
        model.go_on.clear()
        asked = [asyncio.create_task(batcher.submit(model, clip(value))) for value in (1, 2, 3)]
        await until(lambda: batcher.waiting == 2)
        threading.Timer(0.2, model.go_on.set).start()
        batcher.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("vnyatno-model")]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, *late = asyncio.run(scenario())
    assert first == 2
    assert [type(error) for error in late] == [Closed, Closed]
