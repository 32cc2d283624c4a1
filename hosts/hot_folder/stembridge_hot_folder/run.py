"""From the command line's words to a watch, or to a look at what one would do."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from plugin_core.console.context import Context
from plugin_core.console.display import choose_exit_code
from plugin_core.console.json_lines import JsonDisplay
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.run import Asker, Run, Want
from plugin_core.session import Session
from stembridge_hot_folder.display import Counts, PlainWatch, Reporter, write_event
from stembridge_hot_folder.files import path_of
from stembridge_hot_folder.folders import HotFolder, WatchSettings, open_folders, refuse_home_inside
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger
from stembridge_hot_folder.recipes import Recipes, read_recipes
from stembridge_hot_folder.scan import Passed, SeenSong, scan
from stembridge_hot_folder.tools import Stores
from stembridge_hot_folder.watch import Watch


def run_folders(context: Context, paths: Sequence[Path], *, once: bool, again: bool, as_json: bool) -> int:
    """Watch folders and return the exit code.

    Raises:
        UsageError: a folder or preset that cannot be; SettingsError for the settings.
    """
    settings = read_settings(context, again=again)
    folders = choose_folders(context, paths, settings)
    watches: list[Watch] = []
    reporter = choose_reporter(
        as_json=as_json, quiet=context.quiet, counts=lambda: watches[0].counts() if watches else Counts()
    )
    with reporter.display:
        recipes = read_recipes(context.settings, folders, settings, reporter.say)
        with Stores(context.settings.home, context.session) as stores:
            _check_providers(stores.session, recipes)

            async def watch() -> int:
                watches.append(Watch(stores, folders, recipes, settings, reporter))
                return await watches[0].run(once=once)

            return int(asyncio.run(watch()))


def preview_folders(context: Context, paths: Sequence[Path], *, again: bool, as_json: bool) -> int:
    """Say what a watch would do with what is there now; nothing is made, not even a job store."""
    settings = read_settings(context, again=again)
    folders = choose_folders(context, paths, settings)
    reporter = choose_reporter(as_json=as_json, quiet=context.quiet)
    with reporter.display, context.session() as session:
        recipes = read_recipes(context.settings, folders, settings, reporter.say)
        _check_providers(session, recipes)
        preview, began = Preview(reporter), time.monotonic()
        with open_ledger(context.settings.home) as ledger:
            wants = [want for folder in folders for want in preview.find(folder, recipes[folder.path], ledger)]
        offers = [one.offer for one in asyncio.run(Run(session, preview, foresees=True).offer(wants))]
        for offer in offers:
            reporter.display.preview(offer)
        reporter.display.quote(offers, is_asked=False)
        if not as_json:
            reporter.say("dry run: nothing was made")
        code = choose_exit_code((), preview.errors, interrupted=False)
        reporter.finish(preview.counts, time.monotonic() - began, code)
    return int(code)


class Preview(Asker[Want]):
    """What is in hot folders now, and what would become of it.

    Args:
        reporter: shows it.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.counts = Counts()
        self.errors: list[StembridgeError] = []
        self._reporter = reporter

    def find(self, folder: HotFolder, recipes: Recipes, ledger: SongLedger | None) -> Iterator[Want]:
        """Yield what would be done in a folder, and tell of what would not."""
        for sight in scan(folder.path, folder.rules()):
            if isinstance(sight, Passed) and not folder.names.why_no_song(os.path.basename(sight.path)):
                self._reporter.tell("passed", sight.path, sight.reason)
            if not isinstance(sight, SeenSong):
                continue
            row = ledger.get(sight.path) if ledger is not None else None
            if row is not None and row.identity == sight.identity and not row.state.is_open:
                self._reporter.tell(row.state.value, sight.path, row.reason)
            elif sight.is_hollow or not sight.identity.size:
                self.counts.settling += 1
                self._reporter.tell("settling", sight.path, "it has no content yet, and is waited for until it has")
            elif recipes.holds(sight.path):
                self.counts.held += 1
                self._reporter.tell("held", sight.path, "its folder names no preset")
            else:
                self.counts.queued += 1
                for operation in recipes.choose(sight.path).operations:
                    yield Want(path=path_of(sight.path), operation=operation)

    def look(self, done: int, count: int) -> None:
        self._reporter.display.look(done, count)

    def refuse(self, want: Want, error: StembridgeError) -> None:
        self.counts.queued, self.counts.failed = self.counts.queued - 1, self.counts.failed + 1
        self.errors.append(error)
        self._reporter.display.refuse(want.path, error)


@contextmanager
def open_ledger(home: Path) -> Iterator[SongLedger | None]:
    """Open the ledger if there is one; a look makes none."""
    if not (home / LEDGER_NAME).exists():
        yield None
        return
    with SongLedger(home / LEDGER_NAME) as ledger:
        yield ledger


def choose_reporter(*, as_json: bool, quiet: bool, counts: Callable[[], Counts] | None = None) -> Reporter:
    """Return the reporter that fits: JSON on request, live on a terminal, plain lines elsewhere.

    Args:
        as_json: whether programs read along.
        quiet: whether people see only what goes wrong.
        counts: of a watch; a look needs no live display, and tells in lines what a watch counts.
    """
    if as_json:
        return Reporter(JsonDisplay(write=write_event), as_json=True)
    if counts is None:
        return Reporter(PlainWatch(quiet=quiet), quiet=quiet, counted=frozenset())
    if not quiet and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from stembridge_hot_folder.live import LiveWatch

        return Reporter(LiveWatch(counts), is_live=True)
    return Reporter(PlainWatch(quiet=quiet), quiet=quiet)


def read_settings(context: Context, *, again: bool = False) -> WatchSettings:
    """Return section ``watch`` of the settings, with the option's word before it."""
    settings = context.settings.section("watch", WatchSettings)
    return msgspec.structs.replace(settings, again=settings.again or again)


def choose_folders(context: Context, paths: Sequence[Path], settings: WatchSettings) -> list[HotFolder]:
    """Return the folders named, or those of the settings, checked.

    Raises:
        UsageError: none is named, one is missing, or two are in each other's way.
    """
    wanted = list(paths) or list(settings.folders)
    if not wanted:
        raise UsageError("no folder is named", remedy="name one to watch, or set [watch] folders")
    folders = open_folders(wanted, settings)
    refuse_home_inside(folders, context.settings.home)
    return folders


def _check_providers(session: Session, recipes: dict[bytes, Recipes]) -> None:
    """Refuse a usual recipe that nobody can do before any song is taken; other presets may never be used."""
    for one in recipes.values():
        for operation in one.usual.operations:
            session.registry.provider_of(operation)
