"""``beet moods``, and the genre tree of beets' plugin lastgenre by which labels become genres."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import confuse
import msgspec
import yaml
from beets import logging, ui
from beets.library import Item

from plugin_core import check_rules
from plugin_core.console.phrases import plural
from plugin_core.model import Job, Label, Tagging, show_path
from plugin_core.session import Session
from plugin_core.wishes import TAGS
from stembridge_beets.configuration import core_settings, read_flag, read_write, rename_fields
from stembridge_beets.fields import FIELD_OF, LISTS, is_list
from stembridge_beets.host import UserError, trouble_told
from stembridge_beets.labels import (
    get_values,
    is_labelled,
    put_album_genres,
    put_labels,
    read_history,
    take_back,
    tidy,
)
from stembridge_beets.run import LibraryRun, end, fail, read_words, select_items
from stembridge_beets.tasks import Task, make_task, name_item, path_of, unmark

if TYPE_CHECKING:
    from beets.library import Library
    from confuse import Subview

    from stembridge_beets.host import Host, MoodsOptions


LASTGENRE: Final = "lastgenre"
"""Instead of a file's path: the file that lastgenre ships."""

_FILES: Final = {"whitelist": "genres.txt", "canonical": "genres-tree.yaml"}


class Genres:
    """Chooses among genres.

    Args:
        allowed: the list, in lower case; None for all.
        parents: the genre above each, both in lower case.
    """

    def __init__(self, allowed: frozenset[str] | None = None, parents: Mapping[str, str] | None = None) -> None:
        self._allowed = allowed
        self._parents = parents or {}

    def choose(self, labels: Sequence[Label]) -> list[Label]:
        """Return labels with each genre, or its nearest ancestor, that the list has, each once; others are left out.

        Without a list a genre becomes the most general one above it. Labels of other dimensions stay as they are.
        """
        chosen: list[Label] = []
        seen: set[str] = set()
        for label in labels:
            if label.dimension != "genre":
                chosen.append(label)
                continue
            told = label.english or label.value
            name = self._choose_one(told)
            if name and name.lower() not in seen:
                seen.add(name.lower())
                chosen.append(label if name == told else msgspec.structs.replace(label, value=name, english=name))
        return chosen

    def _choose_one(self, genre: str) -> str:
        line = list(self._ancestors(genre.lower()))
        found = line[-1] if self._allowed is None else next((one for one in line if one in self._allowed), "")
        return genre if found == genre.lower() else found.title()

    def _ancestors(self, genre: str) -> Iterator[str]:
        seen: set[str] = set()
        while genre not in seen:
            yield genre
            seen.add(genre)
            genre = self._parents.get(genre, genre)


def read_genres(config: Subview) -> Genres:
    """Return the genres that our section of the configuration wants.

    Raises:
        UserError: a file cannot be read, or is no list and no tree.
    """
    whitelist, canonical = _find(config, "whitelist"), _find(config, "canonical")
    return Genres(
        frozenset(_read_list(whitelist)) if whitelist else None,
        dict(_walk(_read_tree(canonical))) if canonical else None,
    )


def _find(config: Subview, key: str) -> Path | None:
    said = config[key].get()
    if not said or said == "no":
        return None
    if said is True or said == LASTGENRE:
        # Looked for, not imported: lastgenre needs a library of its own to run.
        spec = importlib.util.find_spec("beetsplug.lastgenre")
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (found := Path(folder) / _FILES[key]).is_file():
                return found
        raise UserError(f"stembridge.{key}: this beets has no lastgenre whose file could be used; name a file")
    return Path(config[key].as_filename())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the genres in {path} cannot be read: {error}") from error


def _read_list(path: Path) -> Iterator[str]:
    for line in _read(path).splitlines():
        if (genre := line.strip().lower()) and not genre.startswith("#"):
            yield genre


def _read_tree(path: Path) -> Any:
    try:
        return yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise UserError(f"the tree of genres in {path} is no YAML: {error}") from error


def _walk(branch: Any, parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield each genre of a tree with the one above it."""
    if isinstance(branch, Mapping):
        pairs: Iterable[tuple[Any, Any]] = branch.items()
    elif isinstance(branch, list):
        for one in branch:
            yield from _walk(one, parent)
        return
    else:
        pairs = [(branch, None)]
    for name, below in pairs:
        genre = str(name).lower()
        if parent:
            yield genre, parent
        if below is not None:
            yield from _walk(below, genre)


class Labels:
    """Taggings, as beets takes them over: into its fields, and by them into the file."""

    name = "moods"
    verb = "label"

    def __init__(self, plugin: Host, *, is_shown: bool) -> None:
        self._plugin = plugin
        self._is_shown = is_shown

    @cached_property
    def _genres(self) -> Genres:
        return read_genres(self._plugin.config)

    def prepare(self) -> None:
        """Read the list and the tree of genres, and whether files are written.

        Raises:
            UserError: one of them cannot be read, or is no list and no tree.
            ConfigError: the setting is no truth value.
        """
        _ = self._genres, read_write(self._plugin, None)

    def apply(self, item: Item, job: Job, task: Task) -> str:
        """Set the fields from a finished job, write the file and store the item.

        Raises:
            UserError: the file cannot be written.
        """
        assert isinstance(task.operation, Tagging)
        left = put_labels(item, self._genres.choose(job.labels), task.operation)
        if self._is_shown:
            ui.show_model_changes(item, fields=FIELD_OF.values())
        if not sync(item, read_write(self._plugin, task.write)):
            raise UserError("the labels stand in the library, not in the file")
        unmark(item, self.name)
        item.store()
        put_album_genres(item)
        return _describe(item, left)


def run_moods(plugin: Host, lib: Library, opts: MoodsOptions, args: list[str]) -> None:
    """Do what ``beet moods`` was asked.

    Raises:
        UserError: it cannot be done, or not for every song.
    """
    items = select_items(lib, args, is_album=opts.album)
    is_quiet = read_flag(plugin, "quiet", opts.quiet)
    if opts.undo:
        undo(lib, items, write=read_write(plugin, opts.write), is_pretended=opts.pretend, is_quiet=is_quiet)
        return
    words = [word.strip() for word in opts.dimensions.split(",") if word.strip()] if opts.dimensions else None
    wish = choose_tagging(plugin, words)
    is_forced = read_flag(plugin, "force", opts.force)
    tasks = make_tasks(items, wish, is_forced=is_forced, is_quiet=is_quiet, write=opts.write)
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


@trouble_told()
def choose_tagging(plugin: Host, dimensions: Sequence[str] | None = None) -> Tagging:
    """Return the labelling that is meant.

    Raises:
        UserError: a word of the configuration or of the option means nothing, or nobody labels.
    """
    config, settings = plugin.config, core_settings(plugin.config)
    _check_fields(config)
    said: dict[str, Any] = {
        "dimensions": tuple(config["dimensions"].as_str_seq() if dimensions is None else dimensions),
        "policies": {str(key): str(value) for key, value in config["policies"].get(dict).items()},
        "min_probability": config["min_probability"].get(confuse.Optional(confuse.Number())),
        "provider": config["tagger"].get(str),
        **{name: config[name].get(str) for name in ("policy", "labels", "language_codes")},
    }
    usual = settings.section("tags", TAGS).as_operation()
    given = {name: value for name, value in said.items() if value or value == 0}
    wish = msgspec.structs.replace(usual, **given, write=False)
    check_rules(wish)
    with Session(settings) as session:
        return msgspec.structs.replace(wish, provider=session.registry.tagger(wish.provider).name)


def _check_fields(config: Subview) -> None:
    rename_fields(config)
    for name, field in FIELD_OF.items():
        if field not in Item._fields and not is_list(name):
            raise UserError(
                f"field {field} holds no words: `types:` of the configuration, or another plugin, has it otherwise; "
                f"say where labels go instead, as in stembridge.fields.{name}: {name}_label"
            )


_WRITER: Final = ThreadPoolExecutor(1)
"""After an import we are in a listener, which beets lets cause no event that we hear, except in another thread."""


_ROOM: Final = 1 << 20
"""Bytes that must be free where a file gets tags."""


def sync(item: Item, write: bool | None) -> bool:
    """Write an item's file, where that is wanted, and store the item; tell whether the file agrees."""
    # Written first: storing keeps the file's new time, so that `beet update` does not read it anew.
    is_written = not ui.should_write(write) or (
        _has_room(path_of(item)) and _WRITER.submit(copy_context().run, item.try_write).result()
    )
    item.store()
    return bool(is_written)


def _has_room(song: Path) -> bool:
    """Tell whether the disk takes a few tags more; on a full one beets would leave a song with zeros at its end."""
    try:
        has_room = shutil.disk_usage(song.parent).free >= _ROOM
    except OSError:
        # Writing it will say so.
        return True
    if not has_room:
        logging.getLogger("beets").error("error writing {}: the disk is full", show_path(song))
    return has_room


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
            ui.show_model_changes(item, fields=FIELD_OF.values())
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
    skipped = ", ".join(f"{FIELD_OF[name]}: {why}" for name, why in left.items())
    return words + (f" ({skipped})" if skipped else "")
