"""From the command line's words to a watch, or to a look at what one would do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from plugin_core import Offer
from plugin_core.console.context import Context, choose_display
from plugin_core.console.display import Display, Summary, summarise
from plugin_core.console.json_lines import JsonDisplay
from plugin_core.errors import SettingsError, StembridgeError, UsageError
from plugin_core.session import Session
from stembridge_hot_folder.display import Counts, PlainWatch, Reporter, say_on, write_event
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
                for folder in folders:
                    reporter.say(f"watching {folder.shown}{_describe(folder)}")
                return await watches[0].run(once=once)

            return int(asyncio.run(watch()))


def preview_folders(context: Context, paths: Sequence[Path], *, again: bool, as_json: bool) -> int:
    """Say what a watch would do with what is there now; nothing is made, not even a job store."""
    settings = read_settings(context, again=again)
    folders = choose_folders(context, paths, settings)
    with choose_display(as_json=as_json, quiet=context.quiet) as display, context.session() as session:
        say = partial(say_on, display, as_json=as_json)
        recipes = read_recipes(context.settings, folders, settings, say)
        _check_providers(session, recipes)
        summary = asyncio.run(_preview(session, folders, recipes, display, say, context.settings.home / LEDGER_NAME))
        display.say("dry run: nothing was made")
        display.finish(summary)
    return summary.exit_code


def choose_reporter(*, as_json: bool, quiet: bool, counts: Callable[[], Counts]) -> Reporter:
    """Return the reporter that fits: JSON on request, live on a terminal, plain lines elsewhere."""
    if as_json:
        return Reporter(JsonDisplay(write=write_event), as_json=True)
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


async def _preview(
    session: Session,
    folders: Sequence[HotFolder],
    recipes: dict[bytes, Recipes],
    display: Display,
    say: Callable[[str], None],
    ledger_path: Path,
) -> Summary:
    errors: list[StembridgeError] = []
    offers: list[Offer] = []
    ledger = SongLedger(ledger_path) if os.path.exists(ledger_path) else None  # noqa: PTH110, ASYNC240 - one look
    try:
        for folder in folders:
            for sight in scan(folder.path, folder.rules()):
                if isinstance(sight, Passed) and not folder.names.why_no_song(os.path.basename(sight.path)):  # noqa: PTH119
                    say(f"{os.fsdecode(sight.path)}: passed, {sight.reason}")
                if not isinstance(sight, SeenSong):
                    continue
                row = ledger.get(sight.path) if ledger is not None else None
                if row is not None and row.identity == sight.identity and not row.state.is_open:
                    say(f"{os.fsdecode(sight.path)}: {row.state}{f', {row.reason}' if row.reason else ''}")
                    continue
                if sight.is_hollow or not sight.identity.size:
                    say(f"{os.fsdecode(sight.path)}: has no content yet, waited for until it has")
                    continue
                if recipes[folder.path].holds(sight.path):
                    say(f"{os.fsdecode(sight.path)}: held, its folder names no preset")
                    continue
                try:
                    offers += await _plan(session, sight.path, recipes[folder.path], display)
                except (UsageError, SettingsError):
                    raise
                except StembridgeError as error:
                    errors.append(error)
                    display.refuse(Path(os.fsdecode(sight.path)), error)
    finally:
        if ledger is not None:
            ledger.close()
    display.quote(offers, is_asked=False)
    return summarise((), errors=errors)


async def _plan(session: Session, path: bytes, recipes: Recipes, display: Display) -> list[Offer]:
    source = await session.look(Path(os.fsdecode(path)))
    offers = []
    for operation in recipes.choose(path).operations:
        offers.append(await session.offer(source, operation))
        display.preview(offers[-1])
    return offers


def _describe(folder: HotFolder) -> str:
    words = [f"a {folder.kind} mount, looked through every {folder.rescan:g} s"] if folder.is_share else []
    names = {"done": "finished", "duplicates": "duplicate", "failed": "failed"}
    words += [f"{names[name]} songs move to {os.fsdecode(place)}" for name, place in folder.places.items()]
    return f" ({'; '.join(words)})" if words else ""
