"""One run over songs of the library: plan, ask, note, work, take over what comes. Every command goes through here."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol

import msgspec
from beets import plugins, ui

from plugin_core.console.display import Troubles
from plugin_core.console.phrases import clean, describe_offer, describe_price, describe_problem, describe_wait, plural
from plugin_core.model import Job, JobState
from plugin_core.run import Ready, is_refused
from stembridge_beets.configuration import core_settings, read_count, read_flag
from stembridge_beets.core_thread import CoreThread
from stembridge_beets.host import UserError, in_beets_words, trouble_told
from stembridge_beets.tasks import Added, Changed, Event, Refused, Task, Todo, mark, path_of, read_todo, unmark
from stembridge_beets.terminal import ProgressLine, stop_on_signals

if TYPE_CHECKING:
    from beets.library import Item, Library

    from stembridge_beets.host import Host, RunOptions


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of a run say."""

    pretend: bool = False
    quiet: bool = False
    yes: bool = False
    threads: int = 0


def select_items(lib: Library, args: Sequence[str], *, is_album: bool) -> list[Item]:
    """Return the songs that match a query, each once.

    Raises:
        UserError: nothing matches.
    """
    query = list(args)
    found = [item for album in lib.albums(query) for item in album.items()] if is_album else list(lib.items(query))
    if not found:
        raise UserError(f"no {'album' if is_album else 'track'} matches {' '.join(query) or 'in this library'}")
    return list({item.id: item for item in found}.values())


def read_words(plugin: Host, opts: RunOptions) -> Manners:
    """Return how a command is to work.

    Raises:
        UserError: a number of threads that is none.
    """
    threads = read_count(plugin.config, "threads") if opts.threads is None else opts.threads
    if opts.threads is not None and threads < 1:
        raise UserError(f"{threads} threads do nothing; leave -t out for as many as the service allows")
    return Manners(
        pretend=opts.pretend,
        quiet=read_flag(plugin, "quiet", opts.quiet),
        yes=read_flag(plugin, "yes", opts.yes),
        threads=threads,
    )


class WorkKind(Protocol):
    """One kind of work: stems or labels."""

    name: str
    """``stems`` or ``moods``."""
    verb: str
    """What is asked: "separate"."""

    def prepare(self) -> None:
        """Read what taking over needs, before anything is bought.

        Raises:
            UserError: it cannot be read.
        """
        ...

    def apply(self, item: Item, job: Job, task: Task) -> str:
        """Take a finished job over into the library and say in words what came of it.

        The job may have been made for another task, which wished for more or had other rules.

        Raises:
            UserError: it stands in the library, but not in the file.
        """
        ...


class LibraryRun:
    """One run.

    Args:
        plugin: configuration and messages.
        lib: the library.
        kind: stems or labels.
        words: what the options say.
    """

    def __init__(self, plugin: Host, lib: Library, kind: WorkKind, words: Manners) -> None:
        self._plugin = plugin
        self._lib = lib
        self.kind = kind
        self._words = words
        self._troubles = Troubles()
        self._progress = ProgressLine(0)
        self.done = self.failed = self.left = 0
        """Songs that are done, that are not, and that ``resume`` goes on with."""
        self.is_interrupted = False
        """Whether the user told it to stop."""
        self._may_buy = False
        """The user's word that what was bought before, and is gone, may be bought again."""
        self._notes: set[str] = set()
        """What was said of the plan, and is not said again of each song."""
        self._noted: set[int] = set()
        """Songs that an import, or a run before this one, left to be done."""
        self._moved: list[Task] = []
        """What is to be done to songs that were moved meanwhile, at their new place."""

    def do(self, tasks: Sequence[Task]) -> None:
        """Do the tasks.

        Raises:
            UserError: nothing can be done at all: an option, the account, or an answer that is missing.
        """
        self.kind.prepare()
        if not tasks:
            return
        self._progress = ProgressLine(len(tasks))
        try:
            with trouble_told(), self._open() as core:
                ready = self._plan(core, tasks)
                if ready and self._is_wanted(ready):
                    self._work(core, ready)
        finally:
            self._progress.clear()

    def _open(self) -> CoreThread:
        config = self._plugin.config
        threads = self._words.threads
        return CoreThread(core_settings(config), threads=threads, tries=read_count(config, "tries"))

    def _plan(self, core: CoreThread, tasks: Sequence[Task]) -> list[Ready[Task]]:
        planned: list[Ready[Task]] = []
        while tasks:
            ready, refused = core.plan(tasks, self._progress.look)
            planned += ready
            again = []
            for one in refused:
                if (there := self._find_moved(one.task)) is not None:
                    again.append(there)
                else:
                    self._refuse(one)
            tasks = again
        self._progress.clear()
        return planned

    def _is_wanted(self, ready: Sequence[Ready[Task]]) -> bool:
        self._tell_plan(ready)
        return not self._words.pretend and self._is_granted(ready)

    def _work(self, core: CoreThread, ready: Sequence[Ready[Task]]) -> None:
        """Do what is planned, and what was moved away meanwhile at its new place."""
        while ready:
            self._mark(ready)
            self._progress.count = len(ready)
            before = self._count_told()
            with stop_on_signals(partial(self._interrupt, core)):
                for event in core.work(ready, may_buy=self._may_buy):
                    self._take(event)
            moved, self._moved = self._moved, []
            self.left += len(ready) - len(moved) - (self._count_told() - before)
            if self.is_interrupted:
                self.left += len(moved)
                return
            ready = self._plan(core, moved)

    def _count_told(self) -> int:
        return self.done + self.failed + self.left

    def _interrupt(self, core: CoreThread) -> None:
        self.is_interrupted = True
        core.stop()

    def _tell_plan(self, ready: Sequence[Ready[Task]]) -> None:
        if self._words.pretend:
            for one in ready:
                for line in describe_offer(one.offer):
                    ui.print_(line)
        elif not self._words.quiet:
            asked = (one.offer for one in ready if one.offer.standing is None and not one.offer.is_bought)
            for note, count in Counter(note for offer in asked for note in offer.plan.notes).items():
                ui.print_(f"note: {clean(note)}" + (f" ({plural(count, 'track')})" if len(ready) > 1 else ""))
        self._notes.update(note for one in ready for note in one.offer.plan.notes)
        if self._words.pretend or (self._words.yes and not self._words.quiet):
            ui.print_(self._describe_plan(ready))

    def _describe_plan(self, ready: Sequence[Ready[Task]]) -> str:
        price = describe_price([one.offer for one in ready])
        return f"{self.kind.verb} {plural(len(ready), 'track')}" + (f": {price}" if price else "")

    def _is_granted(self, ready: Sequence[Ready[Task]]) -> bool:
        if self._words.yes:
            return True
        if not sys.stdin.isatty():
            plan = self._describe_plan(ready)
            raise UserError(f"{plan}: nobody can be asked, as standard input is no terminal; add -y")
        again = sum(one.offer.is_bought_again for one in ready)
        if not again:
            return ui.input_yn(f"{self._describe_plan(ready)}? (Y/n)")
        # Nobody buys twice by pressing Enter.
        bought = f"{again} of them were bought before, and their results are gone"
        self._may_buy = ui.input_yn(f"{self._describe_plan(ready)}; {bought}? (y/n)", require=True)
        return self._may_buy

    def _mark(self, ready: Sequence[Ready[Task]]) -> None:
        marked = []
        for one in ready:
            item = self._lib.get_item(one.want.item_id)
            if item is not None:
                if read_todo(item, self.kind.name) is not None:
                    self._noted.add(one.want.item_id)
                marked.append((item, self._todo(one.want, one.want.job)))
        mark(marked, self._lib, self.kind.name)

    def _todo(self, task: Task, job: str) -> Todo:
        return Todo(operation=task.operation, force=task.force, write=task.write, job=job)

    def _take(self, event: Event) -> None:
        match event:
            case Refused(task):
                if not self._is_moved(task):
                    self._refuse(event)
            case Added(task, job):
                if task.job != job.id and job.state is not JobState.DONE:
                    self._note_job(task, job)
            case Changed():
                self._change(event)

    def _note_job(self, task: Task, job: Job) -> None:
        """Remember the job: found by it, it is not bought again when it was forced, or when its file has changed."""
        item = self._lib.get_item(task.item_id)
        if item is not None:
            mark([(item, self._todo(task, job.id))], self._lib, self.kind.name)

    def _change(self, changed: Changed) -> None:
        task, job = changed.task, changed.job
        self._progress.note(job, task.name)
        if self._troubles.is_new(job):
            self._say(self._plugin.log.warning, task, describe_wait(job))
        if not job.state.is_settled:
            return
        if job.state is JobState.DONE:
            self._finish(task, job)
        elif self._is_moved(msgspec.structs.replace(task, job=job.id)):
            return
        elif changed.goes_on or (is_refused(job) and task.item_id in self._noted):
            self._leave(task, describe_end(job))
        else:
            self._fail(task, describe_end(job))

    def _is_moved(self, task: Task) -> bool:
        there = self._find_moved(task)
        if there is not None:
            self._moved.append(there)
        return there is not None

    def _find_moved(self, task: Task) -> Task | None:
        """Return the task of a song that was moved away under the work, where the library knows it now."""
        item = None if os.path.lexists(task.path) else self._lib.get_item(task.item_id)
        if item is None or path_of(item) == task.path:
            return None
        return msgspec.structs.replace(task, path=path_of(item))

    def _finish(self, task: Task, job: Job) -> None:
        item = self._lib.get_item(task.item_id)
        if item is None:
            self._fail(task, "is no longer in the library; what was made stays where it is")
            return
        self._progress.clear()
        try:
            told = self.kind.apply(item, job, task)
        except UserError as error:
            self._fail(task, str(error), keep=True)
            return
        self.done += 1
        if not self._words.quiet:
            for line in (told, *(clean(note) for note in job.notes if note not in self._notes)):
                ui.print_(f"{task.name}: {line}")
        # For beets' hook plugin, and whoever else listens.
        send: Callable[..., object] = plugins.send
        send(f"stembridge_{self.kind.name}", lib=self._lib, item=item)

    def _refuse(self, refused: Refused) -> None:
        task, error = refused.task, refused.error
        item = self._lib.get_item(task.item_id)
        if error.retryable and item is not None and read_todo(item, self.kind.name) is not None:
            self._leave(task, str(error))
            return
        # A job may have been paid for by now; its song may be on a disk that is not there today.
        self._fail(task, str(error), keep=bool(task.job))

    def _leave(self, task: Task, text: str) -> None:
        """Tell what keeps a song from being done now; a later run finds its note."""
        self.left += 1
        self._say(self._plugin.log.error, task, text)

    def _fail(self, task: Task, text: str, *, keep: bool = False) -> None:
        """Tell what went wrong with one song; unless its result is to be had, ``resume`` leaves it alone."""
        self.failed += 1
        self._say(self._plugin.log.error, task, text, later="resume" if keep else "retry")
        item = None if keep or self._words.pretend else self._lib.get_item(task.item_id)
        if item is not None and read_todo(item, self.kind.name) is not None:
            unmark(item, self.kind.name)
            item.store()

    def _say(self, write: Callable[..., None], task: Task, text: str, later: str = "resume") -> None:
        """Tell of a song; what its user is told to do, beet does as well."""
        self._progress.clear()
        again = f"`beet {self.kind.name} -f id:{task.item_id}`"
        write("{}: {}", task.name, in_beets_words(clean(text), again, later))


def describe_end(job: Job) -> str:
    """Say how a job ended, in words of the core."""
    return f"{job.state}: {describe_problem(job)}"


def end(lib: Library, runs: Sequence[LibraryRun]) -> None:
    """End a command: with an error, when not all went well.

    Raises:
        UserError: some songs failed, or are left for ``resume``.
    """
    failed, left = sum(run.failed for run in runs), sum(run.left for run in runs)
    told = []
    if failed:
        told.append(f"{plural(failed, 'track')} failed")
    if left:
        told.append(f"{plural(left, 'track')} unfinished, go on with: beet stembridge resume")
    if told:
        fail(lib, "; ".join(told))


def fail(lib: Library, text: str) -> NoReturn:
    """End a command that changed the library with an error.

    Raises:
        UserError: always.
    """
    # Beets tells plugins that a command is over only where no error ended it; playlists would miss what was done.
    plugins.send("cli_exit", lib=lib)
    raise UserError(text)
