"""A walk at random through what people do to songs, wishes, stems and processes, and what must hold all the while.

What the walk put somewhere is remembered as the user's own. A ``Walk`` is driven by a seed alone; what it did is in
``Walk.story``, which a failure shows.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import mutagen
import mutagen.id3
import numpy as np
import numpy.typing as npt
import soundfile

from plugin_core import Job, JobState, Session, Settings
from plugin_core.jobs.policy import Reach
from plugin_core.model import Operation, Tagging
from plugin_core.plugins import load_plugins
from plugin_core.purchases.purchase import PurchaseState
from plugin_core.settings import no_keyring
from plugin_core.tags.reader import read_tags
from tests.audio_files import write_song
from tests.end_to_end.bought_bench import LABELS
from tests.end_to_end.hasty import start
from tests.end_to_end.shops import Shop

RATE: Final = 22050
_SUFFIXES: Final = (".flac", ".wav")
_LIMIT: Final = 120.0
"""Seconds that any act may take."""


class Copy:
    """One file of a song, where the walk put it."""

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.path = path
        self.title = ""
        self.home: Path | None = None
        """Where it is brought back to, while it is taken away."""


class Walk:
    """One walk at one service.

    Args:
        shop: the service.
        home: of stembridge.
        folder: for the songs.
        seed: of every choice.
        songs: how many.
        kills: whether processes are started and killed, which takes longer.
        database: the address of the jobs' database, where machines share them and workers work; "" for a file.
    """

    def __init__(
        self, shop: Shop, home: Path, folder: Path, *, seed: int, songs: int, kills: bool, database: str = ""
    ) -> None:
        self.shop = shop
        self.environ = shop.environ(home)
        self.is_shared = bool(database)
        if database:
            (home / "staging").mkdir(parents=True)
            folder.mkdir()
            config = f'[jobs]\nstaging = "{home}/staging"\n[paths]\nmusic = "{folder}"\n'
            (home / "config.toml").write_text(config)
            self.environ["STEMBRIDGE_JOBS_DATABASE"] = database
        self.folder = folder
        self.chance = random.Random(seed)
        self.story: list[str] = []
        self.counts: Counter[str] = Counter()
        self.wishes: set[tuple[int, int]] = set()
        """Song and purchase of every wish."""
        self.mine: dict[Path, bytes] = {}
        """What the user made of stems, or put beside them."""
        self.sounds: list[npt.NDArray[np.int16]] = []
        self.copies: list[Copy] = []
        self._steps = 0
        for number in range(songs):
            album = folder / f"Album {number % 4}"
            album.mkdir(parents=True, exist_ok=True)
            path = write_song(album / f"Song {number:02}.flac", 0.3, RATE, subtype="PCM_16", seed=number)
            self.sounds.append(soundfile.read(path, dtype="int16")[0])
            self.copies.append(Copy(number, path))
        self.acts: dict[str, Callable[[], object]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }
        if not kills:
            del self.acts["kill"]

    def go(self, acts: int) -> None:
        """Do so many acts, come to an end, and look at everything."""
        for _ in range(acts):
            name = self.chance.choice(sorted(self.acts))
            self.counts[name] += 1
            self.story.append(f"{name}:")
            self.acts[name]()
            self.assert_nothing_lost()
        self.end()

    # Wishes

    def do_ask(self) -> None:
        """Ask for one form of one purchase of a song."""
        copy = self._choose()
        what = self.chance.randrange(len(self.shop.wishes))
        form = self.chance.randrange(len(self.shop.wishes[what]))
        self._ask(copy, what, form)

    do_ask_once_more = do_ask
    do_ask_for_another_form = do_ask

    def do_ask_for_an_album(self) -> None:
        """Drop a whole folder."""
        folder = self._choose().path.parent
        for copy in self._present():
            if copy.path.parent == folder:
                self._ask(copy, 0, 0)

    def _ask(self, copy: Copy, what: int, form: int) -> Job:
        wish = self.shop.wishes[what][form]
        self.tell(copy, wish)
        self.wishes.add((copy.number, what))
        job: Job = self._with_session(lambda session: self._add(session, copy.path, wish))
        return job

    async def _add(self, session: Session, path: Path, wish: Operation) -> Job:
        source = await session.look(path)
        offer = await session.offer(source, wish)
        if offer.standing is not None:
            return offer.standing
        job, _ = await session.add(source, offer.plan)
        return job

    # Songs

    def do_rename(self) -> None:
        """Rename a song in its folder."""
        copy = self._choose()
        self._put(copy, self._free(copy.path.parent, copy.number, copy.path.suffix))

    def do_rename_the_album(self) -> None:
        """Rename a folder with all that is in it."""
        folder = self._choose().path.parent
        self._move_folder(folder, self._free(folder.parent))

    def do_rename_the_album_by_a_host_that_says_so(self) -> None:
        """Rename a folder, and tell."""
        folder = self._choose().path.parent
        there = self._free(folder.parent)
        self._move_folder(folder, there)
        self._with_session(lambda session: asyncio.to_thread(session.moved, folder, there))

    def do_move_far_away(self) -> None:
        """Move a song to a folder far away."""
        copy = self._choose()
        there = self._free(self.folder / "far")
        there.mkdir(parents=True)
        self._put(copy, there / copy.path.name)

    def do_copy_and_delete(self) -> None:
        """Move a song as sync tools do."""
        copy = self._choose()
        there = self._free(copy.path.parent, copy.number, copy.path.suffix)
        shutil.copy(copy.path, there)
        copy.path.unlink()
        copy.path = there

    def do_copy(self) -> None:
        """Make another copy of a song."""
        copy = self._choose()
        if sum(one.number == copy.number for one in self.copies) < 3:
            other = Copy(copy.number, self._free(copy.path.parent, copy.number, copy.path.suffix))
            other.title = copy.title
            shutil.copy(copy.path, other.path)
            self.copies.append(other)

    def do_delete_a_copy(self) -> None:
        """Delete one of several copies."""
        copy = self._choose()
        if sum(one.number == copy.number for one in self._present()) > 1:
            self.tell(copy)
            copy.path.unlink()
            self.copies.remove(copy)

    def do_take_away(self) -> None:
        """Move a song out of everyone's sight."""
        copy = self._choose()
        copy.home = copy.path
        (self.folder / "away").mkdir(exist_ok=True)
        self._put(copy, self._free(self.folder / "away", copy.number, copy.path.suffix))

    def do_bring_back(self) -> None:
        """Move what was taken away to where it was."""
        for copy in self.copies:
            if copy.home is not None:
                there, copy.home = copy.home, None
                there.parent.mkdir(parents=True, exist_ok=True)
                taken = there.exists()
                self._put(copy, self._free(there.parent, copy.number, copy.path.suffix) if taken else there)

    def do_edit_tags(self) -> None:
        """Write a title and a long comment."""
        copy = self._choose()
        self.tell(copy)
        copy.title = f"Title {self._next()}"
        _write_title(copy.path, copy.title, "x" * self.chance.randrange(20_000))

    def do_convert_losslessly(self) -> None:
        """Turn FLAC into WAV and back; what tags it had are lost."""
        copy = self._choose()
        suffix = next(one for one in _SUFFIXES if one != copy.path.suffix)
        there = self._free(copy.path.parent, copy.number, suffix)
        self.tell(copy, there)
        samples, rate = soundfile.read(copy.path, dtype="int16")
        soundfile.write(there, samples, rate, subtype="PCM_16")
        copy.path.unlink()
        copy.path, copy.title = there, ""

    # Stems

    def do_delete_stems(self) -> None:
        """Delete a folder of stems, with what the user has in it."""
        folders = sorted(self.folder.rglob("*.stems"))
        if folders:
            folder = self.chance.choice(folders)
            self.tell(folder)
            self.mine = {path: content for path, content in self.mine.items() if not path.is_relative_to(folder)}
            shutil.rmtree(folder)

    def do_edit_a_stem(self) -> None:
        """Make a stem one's own, and put something beside it."""
        stems = sorted(path for path in self.folder.rglob("*.stems/*") if path.suffix in _SUFFIXES)
        if stems:
            stem = self.chance.choice(stems)
            self.tell(stem)
            for path in (stem, stem.with_name(f"notes {self._next()}.txt")):
                path.write_bytes(b"mine" + str(path).encode())
                self.mine[path] = path.read_bytes()

    # Jobs

    def do_cancel(self) -> None:
        """Cancel a job that is under way."""

        async def cancel(session: Session, job: Job) -> None:
            await self._beside_worker(session, session.cancel(job.id))

        self._of_jobs(lambda job: job.state.is_active, cancel)

    def do_retry(self) -> None:
        """Retry a job that ended badly."""

        async def retry(session: Session, job: Job) -> None:
            session.retry(job.id)

        bad = (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED)
        self._of_jobs(lambda job: job.state in bad, retry)

    def _of_jobs(self, which: Callable[[Job], bool], act: Callable[[Session, Job], Any]) -> None:
        async def work(session: Session) -> None:
            jobs = sorted((job for job in session.store.list() if which(job)), key=lambda job: job.id)
            if jobs:
                job = self.chance.choice(jobs)
                self.tell(job.id[-6:], job.state.value)
                async with asyncio.timeout(_LIMIT):
                    await act(session, job)

        self._with_session(work)

    # Processes and the network

    def do_begin(self) -> None:
        """Work until the service was asked some things, and stop as Ctrl-C does."""
        self.shop.hold(is_refusing=self.chance.random() < 0.5)
        self._work(self.chance.randrange(2, 12))

    do_begin_again = do_begin

    def do_interrupt(self) -> None:
        """Work until the service was asked some things, and end at once."""
        self._work(self.chance.randrange(1, 8), at_once=True)

    def do_lose_an_answer(self) -> None:
        """Lose the answer to a create, and stop."""
        self.shop.lose()
        self._work(self.chance.randrange(2, 8))
        self.shop.mend()

    def do_go_offline(self) -> None:
        """Work without a network, and stop."""
        self.shop.away()
        self._work(1, seconds=0.3)
        self.shop.mend()

    def do_spoil_downloads(self) -> None:
        """Answer downloads by pages of HTML, and work until nothing is left to do."""
        self.shop.let_go()
        self.shop.spoil()
        self.finish()

    def do_kill(self) -> None:
        """Kill a process that works."""
        service = self.shop.main
        wanted = len(service.answered) + self.chance.randrange(1, 8)
        worker = start({**os.environ, **self.environ}, *(("worker",) if self.is_shared else ("jobs", "resume")))
        # A worker goes on for ever, also where there is nothing to do.
        end = time.monotonic() + (3.0 if self.is_shared else _LIMIT)
        while worker.poll() is None and not service.wait_for(lambda: len(service.answered) >= wanted, 0.1):
            if time.monotonic() > end:
                break
        worker.kill()
        worker.communicate()

    def do_finish(self) -> None:
        """Let the service go on, and work until nothing is left to do."""
        self.shop.let_go()
        self.finish()

    # What holds

    def end(self) -> None:
        """Bring everything to its end, ask for every wish once more, and look at all of it."""
        self.story.append("end:")
        self.shop.mend()
        self.shop.let_go()
        self.do_bring_back()
        self.finish()
        for number, what in sorted(self.wishes):
            copy = next(one for one in self.copies if one.number == number)
            asked = self._ask(copy, what, 0)
            self.finish()
            # What found everything labelled, and asked nobody, is not stored.
            job = next((job for job in self._with_session(_all)[1] if job.id == asked.id), asked)
            assert (job.state, job.problem) == (JobState.DONE, None), self.tale(job)
            if isinstance(job.operation, Tagging):
                # Labels are in the song, wherever it was when they were written.
                assert read_tags(copy.path).fields.keys() >= LABELS, self.tale(job)
            else:
                assert job.source.path == copy.path, self.tale(job)
                assert job.stems and all(stem.path.is_file() for stem in job.stems), self.tale(job)
        self.assert_nothing_lost()
        self.assert_each_once()

    def assert_each_once(self) -> None:
        """Check that as much was paid as there are different purchases, and that every wish is placed or says why."""
        purchases, jobs = self._with_session(_all)
        bought = [one for one in purchases if one.state is not PurchaseState.CANCELLED]
        assert self.shop.paid == len(self.wishes), self.tale(*bought)
        assert len(bought) == len(self.wishes), self.tale(*bought)
        for job in jobs:
            assert job.state.is_settled, self.tale(job)
            assert job.state is not JobState.FAILED or job.problem, self.tale(job)
            assert job.state is not JobState.UNCONFIRMED, self.tale(job)

    def assert_nothing_lost(self) -> None:
        """Check that every file of the user's is where the walk put it, and is what it was."""
        for copy in self.copies:
            samples, _ = soundfile.read(copy.path, dtype="int16")
            assert np.array_equal(samples, self.sounds[copy.number]), self.tale(copy.path)
            assert not copy.title or _read_title(copy.path) == copy.title, self.tale(copy.path)
        for path, content in self.mine.items():
            assert path.read_bytes() == content, self.tale(path)

    def tale(self, *wrong: object) -> str:
        """Return what is wrong, after all that was done."""
        text = "\n".join([*self.story, "wrong:", *map(str, wrong)])
        return text.replace(f"{self.folder}{os.sep}", "")

    def tell(self, *words: object) -> None:
        """Add to the story."""
        self.story[-1] += " " + " ".join(str(word.path if isinstance(word, Copy) else word) for word in words)

    # How

    def finish(self) -> None:
        """Work until no job is active."""

        async def work(session: Session) -> None:
            async with asyncio.timeout(_LIMIT):
                await self._beside_worker(session, session.run())

        try:
            self._with_session(work)
        finally:
            self.shop.mend()

    def _work(self, requests: int, *, at_once: bool = False, seconds: float = 2.0) -> None:
        """Work until the service was asked so often, at most so long."""

        async def work(session: Session) -> None:
            wanted = len(self.shop.main.answered) + requests
            stop = asyncio.Event()
            running = asyncio.create_task(self._beside_worker(session, session.run(stop=stop)))
            heard = asyncio.create_task(
                asyncio.to_thread(self.shop.main.wait_for, lambda: len(self.shop.main.answered) >= wanted, seconds)
            )
            await asyncio.wait({running, heard}, return_when=asyncio.FIRST_COMPLETED)
            if at_once:
                running.cancel()
            stop.set()
            await asyncio.gather(running, return_exceptions=at_once)
            await heard

        self._with_session(work)

    async def _beside_worker(self, session: Session, act: Coroutine[Any, Any, object]) -> None:
        """Do what waits for jobs, while a worker works on them where machines share them."""
        if not self.is_shared:
            await act
            return
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(session.workshop.work(Reach(), 32, stop=over))
            await act
            over.set()

    def _with_session(self, act: Callable[[Session], Coroutine[Any, Any, Any]]) -> Any:
        with Session(Settings(environ=self.environ, keyring=no_keyring), load_plugins(environ=self.environ)) as session:
            try:
                return asyncio.run(act(session))
            except TimeoutError as error:
                stuck = [job for job in session.store.list() if job.state.is_active]
                raise AssertionError(f"after {self.story[-20:]} these do not end: {stuck}") from error

    def _present(self) -> list[Copy]:
        return [copy for copy in self.copies if copy.home is None]

    def _choose(self) -> Copy:
        if not self._present():
            self.do_bring_back()
        return self.chance.choice(self._present())

    def _next(self) -> int:
        self._steps += 1
        return self._steps

    def _free(self, folder: Path, number: int | None = None, suffix: str = "") -> Path:
        name = f"Album, step {self._next()}" if number is None else f"Song {number:02}, step {self._next()}{suffix}"
        return folder / name

    def _put(self, copy: Copy, there: Path) -> None:
        self.tell(copy, "->", there)
        copy.path.rename(there)
        copy.path = there

    def _move_folder(self, folder: Path, there: Path) -> None:
        self.tell(folder, "->", there)
        folder.rename(there)
        for copy in self.copies:
            copy.path = _moved(copy.path, folder, there)
            copy.home = copy.home and _moved(copy.home, folder, there)
        self.mine = {_moved(path, folder, there): content for path, content in self.mine.items()}


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path


async def _all(session: Session) -> tuple[list[Any], list[Job]]:
    return session.store.purchases.list(), session.store.list()


def _write_title(path: Path, title: str, comment: str) -> None:
    tags = mutagen.File(path)
    if tags.tags is None:
        tags.add_tags()
    if path.suffix == ".flac":
        tags["title"], tags["comment"] = title, comment
    else:
        tags.tags.add(mutagen.id3.TIT2(encoding=3, text=[title]))
        tags.tags.add(mutagen.id3.COMM(encoding=3, lang="eng", desc="", text=[comment]))
    tags.save()


def _read_title(path: Path) -> str:
    tags = mutagen.File(path)
    return str(tags["title"][0] if path.suffix == ".flac" else tags["TIT2"].text[0])
