"""A download cut at any byte, any number of times, by either side: resumed, whole, and no byte brought twice."""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plugin_core.errors import TransientError
from plugin_core.transfer.download import LARGE
from plugin_core.transfer.parts import BLOCK
from tests.plugin_core.transfer.box import BoxSimulator, Waits
from tests.simulators.faults import stall, truncate

SMALL = random.Random(1).randbytes(5000)
LONG = random.Random(2).randbytes(LARGE + 3 * BLOCK + 7)


@pytest.fixture(scope="module")
def shared() -> Iterator[BoxSimulator]:
    with BoxSimulator() as box:
        box.contents = {"small": SMALL, "long": LONG}
        yield box


def bring(box: BoxSimulator, name: str, target: Path, part: Path, earlier: list[Path]) -> None:
    async def go() -> None:
        async with Waits().transfer() as transfer:
            content = box.contents[name]
            await transfer.download(f"{box.url}/data/{name}", target, size=len(content), part=part, earlier=earlier)

    asyncio.run(go())


def sent_bytes(box: BoxSimulator, name: str, cuts: list[int]) -> int:
    """Return how many bytes the answers held: each cut ends one, counted from where it began."""
    total = len(box.contents[name])
    starts = [int((entry.headers.get("range") or "bytes=0-")[6:].partition("-")[0]) for entry in box.log]
    ends = [min(total, start + cut) for start, cut in zip(starts, cuts, strict=False)]
    return sum(end - start for start, end in zip(starts, [*ends, total], strict=False))


CUTS = st.lists(st.integers(0, len(SMALL)), max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=CUTS, has_ranges=st.booleans())
@example(cuts=[0, 0, 1, len(SMALL) - 2], has_ranges=True)
@example(cuts=[len(SMALL) - 1], has_ranges=False)
def test_cut_anywhere_by_the_service(shared: BoxSimulator, cuts: list[int], has_ranges: bool) -> None:
    shared.has_ranges = has_ranges
    shared.faults.clear()
    shared.log.clear()
    for at in cuts:
        shared.faults.add(truncate("GET", "/data/small", at=at))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "stem.wav"
        # Cuts in a row that bring nothing end one call; the next goes on.
        for attempt in range(3):
            try:
                bring(shared, "small", target, Path(folder) / f"{attempt}.part", list(Path(folder).glob("*.part")))
            except TransientError:
                assert not target.exists()
                continue
            break
        assert target.read_bytes() == SMALL
    if has_ranges:
        assert sent_bytes(shared, "small", cuts) == len(SMALL)


@pytest.mark.parametrize("at", [0, 1, BLOCK - 1, BLOCK, LARGE, LARGE + 1, len(LONG) - 1])
def test_a_long_one_cut_where_its_pieces_meet(shared: BoxSimulator, tmp_path: Path, at: int) -> None:
    shared.has_ranges = True
    shared.faults.clear()
    shared.faults.add(truncate("GET", "/data/long", at=at))
    target = tmp_path / "stem.wav"
    bring(shared, "long", target, tmp_path / "1.part", [])
    assert target.read_bytes() == LONG


@pytest.mark.parametrize("at", [1, 1000, len(SMALL) - 1])
def test_cut_by_our_own_end(shared: BoxSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The task is cancelled while the service stalls; another process with a part of its own goes on."""
    shared.has_ranges = True
    shared.faults.clear()
    shared.faults.add(stall("GET", "/data/small", at=at))
    target, first = tmp_path / "stem.wav", tmp_path / "1.part"
    sent = threading.Event()
    wait_release = shared.wait_release

    def stall_after_all_is_sent(seconds: float | None = None) -> bool:
        sent.set()
        return wait_release(seconds)

    monkeypatch.setattr(shared, "wait_release", stall_after_all_is_sent)

    async def stop_half_way() -> None:
        async with Waits().transfer() as transfer:
            task = asyncio.create_task(transfer.download(f"{shared.url}/data/small", target, part=first))
            assert await asyncio.to_thread(sent.wait, 300)
            # What was sent is read in the next turns of the loop, and written, at the latest, when the task ends.
            for _ in range(100):
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(stop_half_way())
    shared.release()
    assert not target.exists()
    shared.log.clear()
    bring(shared, "small", target, tmp_path / "2.part", [first])
    assert target.read_bytes() == SMALL
    assert [entry.headers.get("range") for entry in shared.log] == [f"bytes={at}-"]
