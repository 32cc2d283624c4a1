"""One way to start a task that observes it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from plugin_core.tasks import StoppedError, Stopper, beside, run_stoppable, start, start_alone, start_in_thread
from tests.raw_lines import RawLines, collect_garbage


def call(work: Callable[[], object]) -> None:
    work()


def fill_disk() -> None:
    raise OSError(28, "No space left on device")


async def fail() -> None:
    fill_disk()


def test_what_nobody_asks_for_is_observed(raw_lines: RawLines, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        await asyncio.wait([start(fail()), start_in_thread(fill_disk)])

    with caplog.at_level(logging.DEBUG, "plugin_core.tasks"):
        asyncio.run(main())
    collect_garbage()
    assert raw_lines.take() == []
    assert [record.levelno for record in caplog.records if record.name == "plugin_core.tasks"] == [logging.DEBUG] * 2


def test_the_owner_gets_result_and_error() -> None:
    async def main() -> int:
        assert await start_in_thread(int, "3") == 3
        for work in (start(fail()), start_in_thread(fill_disk)):
            with pytest.raises(OSError, match="No space left"):
                await work
        return await start(asyncio.sleep(0, 7))

    assert asyncio.run(main()) == 7


def test_work_that_nobody_awaits_tells_of_its_error(raw_lines: RawLines, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        await asyncio.wait([start_alone(fail(), "the heartbeat")])
        task = start_alone(asyncio.sleep(60), "sleeping")
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    collect_garbage()
    assert raw_lines.take() == []
    assert [record.getMessage() for record in caplog.records] == [
        "the heartbeat broke: OSError: [Errno 28] No space left on device"
    ]


def test_what_works_beside_takes_things_in_order_and_one_ahead_at_most() -> None:
    may_go_on, taken = threading.Event(), []

    def take(number: int) -> None:
        assert may_go_on.wait(60)
        taken.append(number)

    with beside(take) as hand_over:
        hand_over(0)
        handing = threading.Thread(target=hand_over, args=(1,))
        handing.start()
        assert taken == []
        assert handing.is_alive(), "the first is not done yet"
        may_go_on.set()
        handing.join()
        hand_over(2)
    assert taken == [0, 1, 2]


def test_what_fails_beside_is_raised_at_the_next_thing_or_at_the_end() -> None:
    with pytest.raises(OSError, match="No space left"), beside(call) as hand_over:
        hand_over(fill_disk)
        with pytest.raises(OSError, match="No space left"):
            hand_over(fill_disk)
    with pytest.raises(KeyError, match="of the caller"), beside(call) as hand_over:
        hand_over(fill_disk)
        raise KeyError("of the caller")


def test_result_and_error_come_through() -> None:
    def fail(stopper: Stopper) -> None:
        raise ValueError("bad")

    assert asyncio.run(run_stoppable(lambda stopper: 7)) == 7
    with pytest.raises(ValueError, match="bad"):
        asyncio.run(run_stoppable(fail))


def test_cancelled_task_leaves_when_the_thread_has_stopped() -> None:
    started, stopped, may_leave, left = (threading.Event() for _ in range(4))

    def work(stopper: Stopper) -> None:
        started.set()
        try:
            while True:
                stopper.check()
        except StoppedError:
            stopped.set()
            may_leave.wait()
            left.set()
            raise

    async def scene() -> None:
        task = asyncio.create_task(run_stoppable(work))
        await asyncio.to_thread(started.wait)
        task.cancel()
        await asyncio.to_thread(stopped.wait)
        # Once more, while the thread still writes: by Control-C, say, and then by the end of the loop.
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        is_early = task.done()
        may_leave.set()
        assert not is_early
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.is_set()

    asyncio.run(scene())
