"""From the command line's words to a run, shown on a display: what every command that makes jobs shares."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import click
import msgspec

from plugin_core.abilities import TakesLinks
from plugin_core.cli.settings import check_format, check_provider, check_template, usual_preset
from plugin_core.cli.sources import find_sources
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Display, Summary, summarise
from plugin_core.console.interrupt import NothingBegunError, plain_interrupt, stop_on_signals
from plugin_core.console.options import RunChoices, Words, choose_operations, split_options
from plugin_core.console.phrases import describe_question, has_price, plural
from plugin_core.errors import StembridgeError, TransientError, UsageError
from plugin_core.files.disk import explain_write_error
from plugin_core.model import Job, Operation, Separation
from plugin_core.presets import Preset, find_preset
from plugin_core.run import Asker, Ready, Reply, Run, Want
from plugin_core.session import Session
from plugin_core.settings import Secret
from plugin_core.wishes import SEPARATE


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one command asks for."""

    paths: tuple[Path, ...] = ()
    operations: tuple[Operation, ...] = ()
    preset: str = ""
    force: bool = False
    dry_run: bool = False
    yes: bool = False
    output: Path | None = None
    """A folder for results that is made when there are some."""


class Batch(Asker[Want]):
    """One run for the command line, shown on a display.

    Args:
        session: the core.
        display: shows it.
        request: what is asked for; default nothing, for jobs that exist.
    """

    keeps_ids = False
    keeps_rest = True

    def __init__(self, session: Session, display: Display, request: RunRequest | None = None) -> None:
        self._session = session
        self._request = request or RunRequest()
        self.run: Run[Want] = Run(session, self, preset=self._request.preset, foresees=self._request.dry_run)
        self._display = display
        self._errors: list[StembridgeError] = []
        self._started = time.monotonic()

    async def separate(self) -> Summary:
        """Do everything that is asked for and return how it ended.

        Raises:
            UsageError: an option is wrong; nothing was begun.
            RefusedError: the service refuses the account; nothing was begun.
            StoreError: the job store cannot be used.
        """
        asked = self._request
        wants = [Want(path=path, operation=one, force=asked.force) for path in asked.paths for one in asked.operations]
        ready = await self.run.offer(wants)
        if (answer := await self.ask(ready)) is not Reply.NO:
            if self._request.output is not None and ready:
                make_folder(self._request.output)
            with self._stopping():
                await self.run.work(await self.run.add(ready, answer))
        return self._summarise()

    async def resume(self, ids: Collection[str]) -> Summary:
        """Work on jobs that exist, at once, and return how it ended; unconfirmed ones are looked for."""
        with self._stopping():
            await self.run.resume(ids)
        return self._summarise()

    def look(self, done: int, count: int) -> None:
        self._display.look(done, count)

    def refuse(self, want: Want, error: StembridgeError) -> None:
        if isinstance(error, TransientError):
            # A job would wait; before there is one, nobody is there to try again.
            error.remedy = error.remedy or "nothing was begun with it: run it again later"
        self._errors.append(error)
        self._display.refuse(want.path, error)

    async def ask(self, ready: Sequence[Ready[Want]]) -> Reply:
        offers = [one.offer for one in ready]
        if self._request.dry_run:
            for offer in offers:
                self._display.preview(offer)
        is_asked = has_price(offers) and not self._request.yes and not self._request.dry_run and _is_terminal()
        self._display.quote(offers, is_asked=is_asked)
        if self._request.dry_run:
            self._display.say("dry run: nothing was made")
            return Reply.NO
        if not is_asked:
            return Reply.YES
        again = any(offer.is_bought_again for offer in offers)
        with plain_interrupt():
            # Nobody buys twice by pressing Enter.
            click.confirm(describe_question(offers), default=not again, abort=True, err=True)
        return Reply.AGAIN if again else Reply.YES

    def reuse(self, want: Want, job: Job) -> None:  # noqa: ARG002 - the job names its song
        self._display.reuse(job)

    async def begin(self, jobs: Sequence[Job]) -> None:
        self._display.has_workers = self._session.store.paths.is_shared
        self._display.begin(jobs)

    def change(self, job: Job, previous: Job | None) -> None:
        self._display.change(job, previous)

    async def ask_again(self, jobs: Sequence[Job]) -> bool:
        """Ask, on a terminal alone."""
        if not _is_terminal():
            return False
        self._display.pause()
        with plain_interrupt():
            return click.confirm(f"{plural(len(jobs), 'job')} not to be had. Buy again?", default=False, err=True)

    def _stopping(self) -> AbstractContextManager[None]:
        return stop_on_signals(self.run.stop, lambda: self._display.say("stopping; once more to exit at once"))

    def _summarise(self) -> Summary:
        return summarise(
            self.run.jobs,
            reused=len(self.run.reused),
            errors=self._errors,
            interrupted=self.run.stop.is_set(),
            seconds=time.monotonic() - self._started,
        )


def separate_files(context: Context, files: Sequence[str], options: Words, preset: str | None, *, as_json: bool) -> int:
    """Do to the files what the options say, show it, and return the exit code.

    Args:
        context: settings and plugins.
        files: as written on the command line.
        options: what they say.
        preset: name of the preset to start from; None means the one of the settings, if any.
        as_json: whether to write events for programs.
    """
    said, rest = split_options(Separation, options)
    choices = RunChoices(**rest)
    request = build_request(context, files, place_results(said, choices.output), choices, preset)
    return run_request(context, request, said.get("provider"), as_json=as_json)


def run_request(context: Context, request: RunRequest, provider: str | None, *, as_json: bool) -> int:
    """Do what a request asks for, show it, and return the exit code.

    Args:
        context: settings and plugins.
        request: what is asked for.
        provider: the one named on the command line.
        as_json: whether to write events for programs.
    """
    with choose_display(as_json=as_json, quiet=context.quiet) as display:
        with context.session(is_paying=True) as session:
            for operation in request.operations:
                # A misspelt provider is told before hours of music are read.
                check_provider(session, operation, provider)
            summary = _separate(Batch(session, display, request))
        display.finish(summary)
    return summary.exit_code


def _separate(batch: Batch) -> Summary:
    try:
        return asyncio.run(batch.separate())
    except (click.Abort, KeyboardInterrupt) as error:
        if batch.run.has_begun:
            raise
        raise NothingBegunError from error


def build_request(
    context: Context, files: Sequence[str], said: Words, choices: RunChoices, preset: str | None
) -> RunRequest:
    """Turn words into a request.

    Raises:
        UsageError: a file, folder or preset that does not exist; SettingsError for the settings.
    """
    usual = context.settings.section("separate", SEPARATE).as_operation()
    found = _choose_preset(context, said, preset)
    if found is None and "format" not in said:
        check_format(context.settings)
    check_template(context.settings)
    operations = choose_operations(said, found, usual)
    if any(map(is_link, files)):
        operations, paths = _stand_in(context, files, operations)
    else:
        with context.session() as session:
            is_own = session.memory.is_own_work
            paths = tuple(find_sources(files, recursive=choices.recursive, results=said.get("to"), is_own=is_own))
    return RunRequest(
        operations=operations,
        paths=paths,
        preset=found.name if found else "",
        force=choices.force,
        dry_run=choices.dry_run,
        yes=choices.yes,
        output=choices.output,
    )


def place_results(said: Words, output: Path | None) -> Words:
    """Return what options say with the folder of ``-o`` in the place of ``--to``.

    Raises:
        UsageError: there are both.
    """
    if output is None:
        return said
    if "to" in said:
        raise UsageError("-o and --to name a folder each", remedy="leave one of them out")
    return {**said, "to": output}


def make_folder(folder: Path) -> None:
    """Make a folder that results go to, unless it is there.

    Raises:
        StembridgeError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_write_error(folder, error) from error


def is_link(name: str) -> bool:
    """Tell whether a word on the command line is the address of a song."""
    return re.match(r"https?://", name, re.IGNORECASE) is not None


def _stand_in(
    context: Context, links: Sequence[str], operations: tuple[Operation, ...]
) -> tuple[tuple[Operation, ...], tuple[Path, ...]]:
    """Return what is done to songs that a service fetches itself, and the files that stand for them.

    Raises:
        UsageError: there are files among the links, or the provider cannot do that.
    """
    if not all(map(is_link, links)):
        raise UsageError("links and files are named together", remedy="separate them in two runs")
    with context.session() as session:
        separator = session.separator(operations[0].provider)
        if len(operations) > 1 or not isinstance(operations[0], Separation) or not isinstance(separator, TakesLinks):
            able = [name for name, each in session.registry.separators.items() if isinstance(each, TakesLinks)]
            raise UsageError(
                f"{separator.name} separates files, and only one thing is done to a link",
                remedy=f"links are fetched by {', '.join(sorted(able))}: name it with --provider" if able else "",
            )
        paths = tuple(separator.accept_link(Secret(link)) for link in links)
    # Nobody looks beside a file that only stands for a song.
    wish = msgspec.structs.replace(operations[0], to=operations[0].to or Path.cwd())
    return (wish,), paths


def _choose_preset(context: Context, said: Words, name: str | None) -> Preset | None:
    if name is not None:
        return find_preset(context.settings, name)
    # A provider that is named asks for that provider, not for the user's usual recipe.
    return None if said.get("provider") else usual_preset(context.settings)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
