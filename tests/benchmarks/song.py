"""A song of four minutes whose four stems come back as FLAC: ``python -m tests.benchmarks.song [SECONDS]``.

The processor time of its job, start-up aside, against decoding the song and each stem once. The service is the
simulator of MVSEP, in a process of its own, without delay; each stem is the song. With it the parts of that time that
stand apart: telling what the song sounds like, and holding the stems against it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.audio_files import make_song, write_samples, write_song
from tests.benchmarks.service import Answers, apart, decode, listen, recognise, run_simulator, settings

SECONDS = 240
FOUR_STEMS = 7
BAR = 1.4


def main(seconds: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name, run_simulator() as (url, _):
        song = write_samples(Path(name) / "Song.flac", np.tile(make_song(20.0), (seconds // 20, 1)))
        total = apart(separate, url, str(song), str(Path(name) / "home"))
        stems = sorted(song.with_suffix(".stems").iterdir())
        assert len(stems) == 4
        decoding = apart(decode, [str(song), *map(str, stems)])
        print(f"{seconds} s: {total:.2f} s of CPU, decoding {decoding:.2f} s: {total / decoding:.2f} x (bar: {BAR} x)")
        print(f"recognising {apart(recognise, [str(song)]):.2f} s, holding the stems against it", end=" ")
        print(f"{apart(listen, [str(song)]):.2f} s")


def separate(answers: Answers, url: str, song: str, home: str) -> None:
    """Separate a song through a session that separated a short one before."""
    from plugin_core import JobState, Separation, Session, Settings
    from plugin_core.plugins import load_plugins
    from plugin_core.settings import no_keyring

    wish = Separation(provider="mvsep", model=str(FOUR_STEMS))

    async def run(session: Session, path: Path) -> None:
        source = await session.look(path)
        job, _ = await session.add(source, await session.plan(source, wish))
        (done,) = await session.run([job.id])
        assert done.state is JobState.DONE, done.problem

    environ = settings(url)
    with Session(Settings(Path(home), environ=environ, keyring=no_keyring), load_plugins(environ=environ)) as session:
        asyncio.run(run(session, write_song(Path(home).with_name("Short.flac"), 0.2)))
        before = sum(os.times()[:4])
        asyncio.run(run(session, Path(song)))
        answers.put(sum(os.times()[:4]) - before)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
