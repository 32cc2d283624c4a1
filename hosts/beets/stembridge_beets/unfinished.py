"""Doing what is noted on songs, whoever noted it: an import, or a run that was interrupted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from plugin_core.model import Operation, Tagging, to_json
from stembridge_beets import moods_command, stems_command, todo
from stembridge_beets.configuration import read_auto, read_count
from stembridge_beets.host import UserError
from stembridge_beets.labels import is_labelled
from stembridge_beets.places import read_place
from stembridge_beets.run import LibraryRun, Manners, Work
from stembridge_beets.tasks import Task, make_task

if TYPE_CHECKING:
    from beets.library import Item, Library

    from stembridge_beets.host import Host


def finish(
    plugin: Host, lib: Library, kind: str, marked: Sequence[tuple[Item, todo.Todo]], *, is_quiet: bool
) -> LibraryRun:
    """Do what is noted, without asking: it was asked for. What cannot be done now is told and stays noted."""
    words = Manners(yes=True, quiet=is_quiet, threads=read_count(plugin.config, "threads"))
    run = LibraryRun(plugin, lib, make_kind(plugin, kind, is_quiet=is_quiet), words)
    try:
        tasks = _make_tasks(plugin, kind, marked)
    except UserError as error:
        _leave(plugin, run, len(marked), error)
        return run
    # A service that refuses its account hinders no other.
    for provider in dict.fromkeys(task.operation.provider for task in tasks):
        part = [task for task in tasks if task.operation.provider == provider]
        if run.is_interrupted:
            run.left += len(part)
            continue
        try:
            run.do(part)
        except UserError as error:
            _leave(plugin, run, len(part), error)
    return run


def make_kind(plugin: Host, name: str, *, is_quiet: bool) -> Work:
    return moods_command.Labels(plugin, is_shown=not is_quiet) if name == "moods" else stems_command.Stems(plugin)


def _leave(plugin: Host, run: LibraryRun, count: int, error: UserError) -> None:
    plugin.log.error("{}: {}", run.kind.name, error)
    run.left += count


def _make_tasks(plugin: Host, kind: str, marked: Sequence[tuple[Item, todo.Todo]]) -> list[Task]:
    usual: Operation | None = None
    tasks = []
    for item, one in marked:
        operation = one.operation
        if operation is None:
            usual = usual or _choose(plugin, kind)
            operation = usual
        if one.operation is None and is_done(item, operation):
            todo.unmark(item, kind)
            item.store()
            continue
        tasks.append(make_task(item, operation, force=one.force, write=one.write, job=one.job))
    return tasks


def _choose(plugin: Host, kind: str) -> Operation:
    return moods_command.choose_tagging(plugin) if kind == "moods" else stems_command.choose_operation(plugin)


def is_done(item: Item, operation: Operation) -> bool:
    """Tell whether an item has what is to be made: it was in the library before, or got it by another way."""
    if isinstance(operation, Tagging):
        return is_labelled(item, operation)
    place = read_place(item)
    return place is not None and place.is_whole


def mark_imported(plugin: Host, items: Iterable[Item]) -> list[int]:
    """Note on imported songs what is to be done, in the import's own thread; return their ids."""
    kinds = read_auto(plugin.config)
    note = to_json(todo.Todo()).decode()
    ids = []
    for item in items:
        for kind in kinds:
            item[todo.FIELDS[kind]] = note
        item.store()
        if item.id is not None:
            ids.append(item.id)
    return ids


def finish_import(plugin: Host, lib: Library, ids: Sequence[int]) -> None:
    """Do what an import noted; what goes wrong is told, left for ``resume``, and never makes the import fail."""
    wanted = set(ids)
    kinds = read_auto(plugin.config)
    for kind in kinds:
        marked = [(item, one) for item, one in todo.find_marked(lib, kind) if item.id in wanted]
        run = finish(plugin, lib, kind, marked, is_quiet=False)
        if run.left:
            plugin.log.error("{}: {} unfinished, go on with: beet stembridge resume", kind, run.left)
        if run.is_interrupted:
            return
