"""What an import leaves to be done, and doing it once the import is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from plugin_core.model import to_json
from stembridge_beets import todo
from stembridge_beets.configuration import read_auto
from stembridge_beets.finishing import finish

if TYPE_CHECKING:
    from beets.library import Item, Library
    from beetsplug.stembridge import StembridgePlugin


def mark_imported(plugin: StembridgePlugin, items: Iterable[Item]) -> list[int]:
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


def finish_import(plugin: StembridgePlugin, lib: Library, ids: Sequence[int]) -> None:
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
