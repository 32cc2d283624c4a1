from __future__ import annotations

import asyncio
import threading

import pytest

from plugin_core.threads import StoppedError, Stopper, run_stoppable


def test_result_and_error_come_through() -> None:
    def fail(stopper: Stopper) -> None:
        raise ValueError("bad")

    assert asyncio.run(run_stoppable(lambda stopper: 7)) == 7
    with pytest.raises(ValueError, match="bad"):
        asyncio.run(run_stoppable(fail))


def test_cancelled_task_leaves_when_the_thread_has_stopped() -> None:
    started, left = threading.Event(), threading.Event()

    def work(stopper: Stopper) -> None:
        started.set()
        try:
            while True:
                stopper.check()
        except StoppedError:
            left.set()
            raise

    async def scene() -> None:
        task = asyncio.create_task(run_stoppable(work))
        await asyncio.to_thread(started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.is_set()

    asyncio.run(scene())
