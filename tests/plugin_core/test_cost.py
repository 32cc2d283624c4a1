"""What one short job costs in counts that no busy machine changes: statements, trips to a thread, flushes, openings."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import mutagen
import pytest

from plugin_core import JobState, Separation, Session, Settings
from plugin_core.audio import flac
from plugin_core.plugins import load_plugins
from plugin_core.settings import no_keyring
from tests.audio_files import write_song
from tests.simulators.mvsep import PREMIUM_TOKEN, Behaviour, MvsepSimulator
from tests.simulators.mvsep.walks import INSTANT

TURNS = frozenset({"claim", "_has_work", "_start", "_idle", "beat", "tidy", "leftovers"})
"""Functions that look around as often as time passes, or once a run: what they ask for is no cost of a job."""


def is_turn(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in TURNS and "plugin_core" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def count(session: Session, songs: list[Path], wish: Separation, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return what the second of two jobs took; the first one warms up."""
    found: Counter[str] = Counter()

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found[name] += 1
            return work(*arguments, **options)

        return call

    def trace(statement: str) -> None:
        word = statement.split()[0]
        if word not in ("PRAGMA", "COMMIT", "BEGIN") and not is_turn(sys._getframe(1)):
            found["statement"] += 1
            found["written"] += word != "SELECT"

    async def separate(song: Path) -> None:
        source = await session.look(song)
        job, _ = await session.add(source, await session.plan(source, wish))
        (done,) = await session.run([job.id])
        assert done.state is JobState.DONE, done.problem

    async def separate_counted(song: Path) -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(loop, "run_in_executor", counted("thread", loop.run_in_executor))
            patch.setattr(os, "fsync", counted("flush", os.fsync))
            # Whatever is opened by a path of ``pathlib``, and by its number.
            patch.setattr(io, "open", counted("opened", io.open))
            patch.setattr(os, "open", counted("opened", os.open))
            patch.setattr(mutagen, "File", counted("tags", mutagen.File))
            patch.setattr(flac, "crc16", counted("checksum", flac.crc16))
            session.store._database._connection.set_trace_callback(trace)  # type: ignore[attr-defined]
            await separate(song)
            session.store._database._connection.set_trace_callback(None)  # type: ignore[attr-defined]

    asyncio.run(separate(songs[0]))
    asyncio.run(separate_counted(songs[1]))
    return found


@pytest.mark.parametrize(
    ("wish", "most"),
    [
        (
            Separation(provider="mvsep", model="40"),
            {"statement": 56, "written": 17, "thread": 13, "flush": 8, "opened": 44, "tags": 1},
        ),
        (
            Separation(provider="local"),
            {"statement": 33, "written": 11, "thread": 10, "flush": 8, "opened": 56, "tags": 1},
        ),
    ],
    ids=["bought", "local"],
)
def test_a_short_job_costs_no_more_than_it_did(
    wish: Separation, most: dict[str, int], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = [write_song(tmp_path / f"Song {seed}.flac", 1.0, subtype="PCM_16", seed=seed) for seed in range(2)]
    with MvsepSimulator(audio="echo", behaviour=Behaviour(walk=INSTANT)) as service:
        environ = {
            "STEMBRIDGE_PLUGINS": wish.provider,
            "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
            "STEMBRIDGE_MVSEP_BASE_URL": service.api,
            "STEMBRIDGE_MVSEP_POLL_FIRST": "0.01",
        }
        settings = Settings(home, environ=environ, keyring=no_keyring)
        with Session(settings, load_plugins(environ=environ)) as session:
            found = count(session, songs, wish, monkeypatch)
    assert {name: (found[name], number) for name, number in most.items() if found[name] > number} == {}
    # Decoding looks at every frame of a FLAC, and no slower language does before.
    assert not found["checksum"]
    # Something is counted.
    assert all(found[name] > number / 2 for name, number in most.items())
