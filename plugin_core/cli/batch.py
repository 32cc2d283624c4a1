"""One run over many songs: look, plan, ask, add, work. Every command that makes jobs goes through here."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import click
import msgspec

from plugin_core.console.display import Display, Summary, summarise
from plugin_core.console.formatting import plural
from plugin_core.console.interrupt import plain_interrupt, stop_on_signals
from plugin_core.console.prices import describe_question, has_price
from plugin_core.errors import RefusedError, StembridgeError, StoreError, UsageError
from plugin_core.model import Job, JobState, Operation, Plan, Source
from plugin_core.purchases.purchase import Offer
from plugin_core.session import Session


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What one command asks for."""

    paths: tuple[Path, ...]
    operations: tuple[Operation, ...]
    preset: str = ""
    force: bool = False
    dry_run: bool = False
    yes: bool = False


class Batch:
    """One run through a session, shown on a display."""

    def __init__(self, session: Session, display: Display) -> None:
        self.session = session
        self.display = display
        self.jobs: list[Job] = []
        """The jobs as they stood at the end."""
        self._reused: list[Job] = []
        self._errors: list[StembridgeError] = []
        self._started = time.monotonic()
        self._stop = asyncio.Event()
        self._unheard: OSError | None = None
        self._has_begun = False
        self._may_buy = False
        """The user's word that what was bought before, and is gone, may be bought again."""

    async def separate(self, request: Request) -> Summary:
        """Do everything a request asks for and return how it ended.

        Raises:
            UsageError: an option is wrong; nothing was begun.
            RefusedError: the service refuses the account; nothing was begun.
            StoreError: no song's job can be kept; nothing was begun.
        """
        offers = await self._plan(request)
        if request.dry_run:
            return self._preview(offers)
        self._ask(offers, request)
        with stop_on_signals(self._stop, self._tell_stopping):
            self._has_begun = True
            ids = await self._add(offers, request)
            await self._work(ids)
        return self._summarise()

    async def resume(self, ids: Collection[str]) -> Summary:
        """Work on jobs that exist, at once, and return how it ended; unconfirmed ones are looked for."""
        with stop_on_signals(self._stop, self._tell_stopping):
            jobs = [self.session.resume(job_id) for job_id in ids]
            self.display.begin(jobs)
            await self._work([job.id for job in jobs])
        return self._summarise()

    @property
    def has_begun(self) -> bool:
        """Whether there may be a job that was not there before."""
        return self._has_begun

    @property
    def finished(self) -> list[Job]:
        """The jobs whose results stand, made now or before."""
        return [*self._reused, *(job for job in self.jobs if job.state is JobState.DONE)]

    async def _plan(self, request: Request) -> list[Offer]:
        offers: list[Offer] = []
        for number, path in enumerate(request.paths):
            self.display.look(number, len(request.paths))
            try:
                source = await self.session.look(path)
                for operation in request.operations:
                    offers.append(await self._offer(source, operation, request))  # noqa: PERF401 - those before an error count
            except (UsageError, RefusedError, StoreError):
                raise
            except StembridgeError as error:
                self._errors.append(error)
                self.display.refuse(path, error)
        self.display.look(len(request.paths), len(request.paths))
        return offers

    async def _offer(self, source: Source, operation: Operation, request: Request) -> Offer:
        offer = await self.session.offer(source, operation, force=request.force)
        if not request.dry_run or offer.standing is not None:
            return offer
        return msgspec.structs.replace(offer, files=await self._foresee(source, offer.plan))

    async def _foresee(self, source: Source, plan: Plan) -> dict[str, Path]:
        # It looks into songs; lists of jobs do without.
        from plugin_core.cli.preview import foresee_files

        return await asyncio.to_thread(foresee_files, self.session, source, plan)

    def _ask(self, offers: Sequence[Offer], request: Request) -> None:
        is_asked = has_price(offers) and not request.yes and _is_terminal()
        self.display.quote(offers, is_asked=is_asked)
        if is_asked:
            again = any(offer.is_bought_again for offer in offers)
            with plain_interrupt():
                # Nobody buys twice by pressing Enter.
                click.confirm(describe_question(offers), default=not again, abort=True, err=True)
            self._may_buy = again

    async def _add(self, offers: Sequence[Offer], request: Request) -> list[str]:
        waiting: list[Job] = []
        for offer in offers:
            if offer.standing is not None:
                self._reused.append(offer.standing)
                self.display.reuse(offer.standing)
                continue
            job, made = await self.session.add(
                offer.source,
                offer.plan,
                preset=request.preset,
                force=request.force,
                may_buy=self._may_buy and offer.is_bought_again,
            )
            if made or job.state.is_active:
                waiting.append(job)
            elif job.state is JobState.DONE:
                self._reused.append(job)
                self.display.reuse(job)
            else:
                self.jobs.append(job)
                self.display.change(job, None)
        self.display.begin(waiting)
        return list(dict.fromkeys(job.id for job in waiting))

    async def _work(self, ids: Collection[str]) -> None:
        jobs = {job.id: job for job in await self._run(ids)}
        if again := self._ask_again(jobs.values()):
            self.display.begin([self.session.retry(job_id, force=True) for job_id in again])
            jobs |= {job.id: job for job in await self._run(again)}
        self.jobs += jobs.values()

    async def _run(self, ids: Collection[str]) -> list[Job]:
        jobs = await self.session.run(ids, on_change=self._change, stop=self._stop)
        if self._unheard is not None:
            raise self._unheard
        return jobs

    def _ask_again(self, jobs: Iterable[Job]) -> list[str]:
        """Ask whether to buy once more what turned out not to be had; nobody is asked but on a terminal."""
        gone = [job.id for job in jobs if job.problem is not None and job.problem.needs_word]
        if not gone or self._stop.is_set() or not _is_terminal():
            return []
        self.display.pause()
        with plain_interrupt():
            is_granted = click.confirm(f"{plural(len(gone), 'job')} not to be had. Buy again?", default=False, err=True)
        return gone if is_granted else []

    def _change(self, job: Job, previous: Job | None) -> None:
        try:
            self.display.change(job, previous)
        except OSError as error:
            # Nobody reads any more, or the disk below the output is full. Raised here it would end the engine in the
            # middle of a step; a stop leaves every job resumable.
            self._unheard = error
            self._stop.set()

    def _tell_stopping(self) -> None:
        self.display.say("stopping; once more to exit at once")

    def _preview(self, offers: Sequence[Offer]) -> Summary:
        for offer in offers:
            self.display.preview(offer)
        self.display.quote(offers, is_asked=False)
        self.display.say("dry run: nothing was made")
        return self._summarise()

    def _summarise(self) -> Summary:
        return summarise(
            self.jobs,
            reused=len(self._reused),
            errors=self._errors,
            interrupted=self._stop.is_set(),
            seconds=time.monotonic() - self._started,
        )


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
