"""``beet moods``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import confuse
import msgspec
from beets import ui

from plugin_core import check_rules
from plugin_core.console.formatting import plural
from plugin_core.errors import StembridgeError
from plugin_core.model import Job, Tagging
from plugin_core.session import Session
from plugin_core.wishes import TAGS
from stembridge_beets import todo
from stembridge_beets.configuration import core_settings
from stembridge_beets.genres import read_genres
from stembridge_beets.host import UserError
from stembridge_beets.labels import (
    FIELDS,
    get_values,
    is_labelled,
    put_album_genres,
    put_labels,
    read_history,
    take_back,
    tidy,
)
from stembridge_beets.media_fields import FIELD_OF, LISTS
from stembridge_beets.options import read_flag, read_words, read_write, select_items
from stembridge_beets.run import LibraryRun, end, fail
from stembridge_beets.tasks import Task, make_task, name_item

if TYPE_CHECKING:
    from beets.library import Item, Library

    from stembridge_beets.host import Host
    from stembridge_beets.options import MoodsOptions


class Labels:
    """Taggings, as beets takes them over: into its fields, and by them into the file."""

    name = "moods"
    verb = "label"

    def __init__(self, plugin: Host, *, is_shown: bool) -> None:
        self._genres = read_genres(plugin.config)
        self._is_shown = is_shown

    def apply(self, item: Item, job: Job, write: bool | None) -> str:
        """Set the fields from a finished job, write the file and store the item.

        Raises:
            UserError: the file cannot be written.
        """
        assert isinstance(job.operation, Tagging)
        left = put_labels(item, self._genres.choose(job.labels), job.operation)
        if self._is_shown:
            ui.show_model_changes(item, fields=FIELDS)
        if not sync(item, write):
            raise UserError("the labels stand in the library, not in the file")
        todo.unmark(item, self.name)
        item.store()
        put_album_genres(item)
        return _describe(item, left)


def run_moods(plugin: Host, lib: Library, opts: MoodsOptions, args: list[str]) -> None:
    """Do what ``beet moods`` was asked.

    Raises:
        UserError: it cannot be done, or not for every song.
    """
    items = select_items(lib, args, is_album=opts.album)
    write, is_quiet = read_write(plugin, opts.write), read_flag(plugin, "quiet", opts.quiet)
    if opts.undo:
        undo(lib, items, write=write, is_pretended=opts.pretend, is_quiet=is_quiet)
        return
    words = [word.strip() for word in opts.dimensions.split(",") if word.strip()] if opts.dimensions else None
    wish = choose_tagging(plugin, words)
    is_forced = read_flag(plugin, "force", opts.force)
    tasks = make_tasks(items, wish, is_forced=is_forced, is_quiet=is_quiet, write=write)
    run = LibraryRun(plugin, lib, Labels(plugin, is_shown=not is_quiet), read_words(plugin, opts))
    run.do(tasks)
    end(lib, [run])


def make_tasks(
    items: Sequence[Item], wish: Tagging, *, is_forced: bool, is_quiet: bool, write: bool | None = None
) -> list[Task]:
    """Return what is to be done, and name the songs that are labelled already."""
    tasks = []
    for item in items:
        if is_forced or not is_labelled(item, wish):
            tasks.append(make_task(item, wish, force=is_forced, write=write))
        elif not is_quiet:
            ui.print_(f"{name_item(item)}: is labelled")
    return tasks


def choose_tagging(plugin: Host, dimensions: Sequence[str] | None = None) -> Tagging:
    """Return the labelling that is meant.

    Raises:
        UserError: a word of the configuration or of the option means nothing, or nobody labels.
    """
    config, settings = plugin.config, core_settings(plugin.config)
    said: dict[str, Any] = {
        "dimensions": tuple(config["dimensions"].as_str_seq() if dimensions is None else dimensions),
        "policies": {str(key): str(value) for key, value in config["policies"].get(dict).items()},
        "min_probability": config["min_probability"].get(confuse.Optional(confuse.Number())),
        "provider": config["tagger"].get(str),
        **{name: config[name].get(str) for name in ("policy", "labels", "language_codes")},
    }
    try:
        usual = settings.section("tags", TAGS).as_operation()
        given = {name: value for name, value in said.items() if value or value == 0}
        wish = msgspec.structs.replace(usual, **given, write=False)
        check_rules(wish)
        with Session(settings) as session:
            return msgspec.structs.replace(wish, provider=session.tagger(wish.provider).name)
    except StembridgeError as error:
        raise UserError(str(error)) from error


def sync(item: Item, write: bool | None) -> bool:
    """Write an item's file, where that is wanted, and store the item; tell whether the file agrees."""
    # Written first: storing keeps the file's new time, so that `beet update` does not read it anew.
    is_written = item.try_write() if ui.should_write(write) else True
    item.store()
    return bool(is_written)


def undo(lib: Library, items: Sequence[Item], *, write: bool | None, is_pretended: bool, is_quiet: bool) -> None:
    """Put back what labelling changed.

    Raises:
        UserError: not every file could be written.
    """
    failed = 0
    for item in items:
        if not read_history(item):
            if not is_quiet:
                ui.print_(f"{name_item(item)}: nothing to undo")
            continue
        for name in take_back(item):
            ui.print_(f"{name_item(item)}: {name} was changed since and stays")
        if not is_quiet:
            ui.show_model_changes(item, fields=FIELDS)
        if is_pretended:
            continue
        if not sync(item, write):
            failed += 1
            continue
        tidy(item, is_written=ui.should_write(write))
        item.store()
        put_album_genres(item)
    if failed:
        fail(lib, f"{plural(failed, 'track')} failed")


def _describe(item: Item, left: dict[str, str]) -> str:
    told = [", ".join(get_values(item, name)) for name in (*LISTS[:1], "genre", "language", *LISTS[1:])]
    words = "; ".join(text for text in told if text) or "no label"
    skipped = ", ".join(f"{FIELD_OF.get(name, name)}: {why}" for name, why in left.items())
    return words + (f" ({skipped})" if skipped else "")
