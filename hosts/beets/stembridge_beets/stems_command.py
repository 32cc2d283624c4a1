"""``beet stems``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beets import ui

from plugin_core.console.options import choose_operations
from plugin_core.model import Job, Operation, Separation, show_path
from plugin_core.presets import find_preset
from plugin_core.session import Session
from plugin_core.wishes import SEPARATE
from stembridge_beets import consistency
from stembridge_beets.configuration import core_settings, read_flag
from stembridge_beets.host import UserError, trouble_told
from stembridge_beets.places import StemsPlace, common_folder, read_place, write_place
from stembridge_beets.run import LibraryRun, end, read_words, select_items
from stembridge_beets.tasks import Task, make_task, name_item, path_of, unmark

if TYPE_CHECKING:
    from beets.library import Item, Library

    from plugin_core.settings import Settings
    from stembridge_beets.host import Host, StemsOptions


class Stems:
    """Separations, as beets takes them over.

    Args:
        plugin: brings stems after a song that was moved while they were made.
    """

    name = "stems"
    verb = "separate"

    def __init__(self, plugin: Host) -> None:
        self._plugin = plugin

    def prepare(self) -> None:
        """Do nothing: stems need nothing."""

    def apply(self, item: Item, job: Job, task: Task) -> str:  # noqa: ARG002 - stems are as the job made them
        told = put_stems(item, job)
        if job.source.path != path_of(item):
            how = "copy" if os.path.lexists(job.source.path) else "move"
            self._plugin.bring_stems(item, os.fsencode(job.source.path), item.path, how)
        unmark(item, self.name)
        item.store()
        return told


def put_stems(item: Item, job: Job) -> str:
    """Set an item's fields from a finished separation, and name its stems; whoever calls stores the item."""
    files = tuple(one.path for one in (*job.stems, *job.projects))
    write_place(item, StemsPlace(common_folder(files), files))
    item["stems"] = [stem.name for stem in job.stems]
    item["stems_provider"] = job.operation.provider
    item["stems_model"] = job.operation.model if isinstance(job.operation, Separation) else ""
    item["stems_job"] = job.id
    return ", ".join(stem.name for stem in job.stems)


def run_stems(plugin: Host, lib: Library, opts: StemsOptions, args: list[str]) -> None:
    """Do what ``beet stems`` was asked.

    Raises:
        UserError: it cannot be done, or not for every song.
    """
    if opts.check:
        consistency.check(plugin, lib, args, is_album=opts.album)
        return
    consistency.warn_of_ignore(plugin)
    items = select_items(lib, args, is_album=opts.album)
    operation = choose_operation(plugin, opts.preset, opts.provider, opts.model)
    run = LibraryRun(plugin, lib, Stems(plugin), read_words(plugin, opts))
    is_forced, is_quiet = read_flag(plugin, "force", opts.force), read_flag(plugin, "quiet", opts.quiet)
    with Session(core_settings(plugin.config)) as session:
        tasks = make_tasks(session, items, operation, is_forced=is_forced, is_quiet=is_quiet)
    run.do(tasks)
    end(lib, [run])


def make_tasks(
    session: Session, items: Sequence[Item], operation: Operation, *, is_forced: bool, is_quiet: bool
) -> list[Task]:
    """Return what is to be done, and name the songs that have stems already."""
    tasks = []
    for item in items:
        place = None if is_forced else read_place(item)
        is_whole = place is not None and place.is_whole
        job = consistency.find_job(session, item) if is_whole else None
        if place is not None and is_whole and consistency.is_replaced(session, item, place, job):
            where = show_path(place.folder)
            ui.print_(f"{name_item(item)}: is another recording now; the stems of the one before stay in {where}")
        elif place is not None and is_whole and not lacks_session(place, operation):
            if not is_quiet:
                ui.print_(f"{name_item(item)}: has stems")
            continue
        tasks.append(make_task(item, operation, force=is_forced))
    return tasks


def lacks_session(place: StemsPlace, operation: Operation) -> bool:
    """Tell whether a session file is wanted that does not stand with the stems: it costs nothing to add."""
    has = {file.suffix.removeprefix(".") for file in place.files}
    return isinstance(operation, Separation) and not has.issuperset(operation.projects)


@trouble_told()
def choose_operation(
    plugin: Host, preset: str | None = None, provider: str | None = None, model: str | None = None
) -> Operation:
    """Return the separation that is meant: option before beets' configuration before stembridge's own.

    Raises:
        UserError: no such preset, or one that is more than one separation; or a setting is wrong.
    """
    config, settings = plugin.config, core_settings(plugin.config)
    usual = settings.section("separate", SEPARATE)
    own = config["preset"].get(str) or ("" if config["provider"].get(str) else usual.preset)
    name = preset if preset is not None else "" if provider else own
    words = {
        "provider": provider or config["provider"].get(str),
        "model": model or ("" if provider else config["model"].get(str)),
    }
    said = {name: word for name, word in words.items() if word}
    operations = choose_operations(said, find_preset(settings, name) if name else None, usual.as_operation())
    operations = _fill(settings, operations)
    separations = [one for one in operations if isinstance(one, Separation)]
    if not separations:
        raise UserError(f"preset {name!r} only labels; `beet moods` does that")
    if len(separations) > 1:
        raise UserError(
            f"preset {name!r} makes {len(separations)} separations, and `beet stems` makes one of each song"
        )
    if len(operations) > 1:
        plugin.log.warning("preset {!r} labels as well; that is for beet moods", name)
    return separations[0]


def _fill(settings: Settings, operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Name the session files of separations; a misspelt provider is told of before hours of music are read."""
    with Session(settings) as session:
        for one in operations:
            if isinstance(one, Separation):
                session.separator(one.provider)
        return tuple(session.projects.fill(one) if isinstance(one, Separation) else one for one in operations)
