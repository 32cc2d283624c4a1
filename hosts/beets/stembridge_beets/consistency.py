"""Whether library and stems agree: what is missing, what belongs to no song, and whether imports pass stems over."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import beets
from beets import ui

from plugin_core import STEMS_SUFFIX
from plugin_core.console.phrases import plural
from plugin_core.model import Job, show_path
from plugin_core.session import Session
from stembridge_beets.configuration import core_settings, read_manifest
from stembridge_beets.host import UserError
from stembridge_beets.moves import find_left
from stembridge_beets.places import read_place
from stembridge_beets.queries import STEMS_PATH, Having
from stembridge_beets.tasks import name_item

if TYPE_CHECKING:
    from beets.library import Library

    from stembridge_beets.host import Host


def check(plugin: Host, lib: Library, args: Sequence[str], *, is_album: bool) -> None:
    """List missing stems of the songs that match, and stems below the library that belong to no song.

    Raises:
        UserError: there are some.
    """
    warn_of_ignore(plugin)
    query = list(args)
    items = [item for album in lib.albums(query) for item in album.items()] if is_album else list(lib.items(query))
    missing = orphans = left = 0
    with Session(core_settings(plugin.config)) as session:
        find = session.store.find if session.has_store else _find_none
        for item in items:
            place = read_place(item)
            if place is None:
                continue
            gone = place.missing
            for path in gone:
                ui.print_(f"missing: {show_path(path)} ({name_item(item)})")
            missing += len(gone)
            if not gone and find_left(item, place, find):
                ui.print_(f"left behind: {show_path(place.folder)} ({name_item(item)})")
                left += 1
    if not query:
        for folder in find_orphans(lib):
            ui.print_(f"orphan: {show_path(folder)}")
            orphans += 1
    if missing or orphans or left:
        behind = f", {left} left behind, bring them along with: beet stembridge adopt" if left else ""
        raise UserError(f"{missing} missing, {plural(orphans, 'orphan')}{behind}")
    ui.print_("all stems are where they belong")


def _find_none(_job_id: str) -> Job | None:
    """Find no job, where there is no store of them."""
    return None


def find_orphans(lib: Library) -> Iterator[Path]:
    """Yield the folders of stems below the library that no song of it has."""
    places = (read_place(item) for item in lib.items(Having(STEMS_PATH)))
    claimed = {place.folder for place in places if place is not None}
    for parent, folders, _files in os.walk(os.fsdecode(lib.directory)):
        for name in sorted(folders):
            if name.endswith(STEMS_SUFFIX) and Path(parent, name) not in claimed:
                yield Path(parent, name)
        folders[:] = sorted(name for name in folders if not name.endswith(STEMS_SUFFIX))


def is_passed_over() -> bool:
    """Tell whether an import passes stems over."""
    patterns = beets.config["ignore"].as_str_seq()
    return any(fnmatch(f"Song{STEMS_SUFFIX}", pattern) for pattern in patterns)


def warn_of_ignore(plugin: Host) -> None:
    """Warn where an import would take stems for songs."""
    if not is_passed_over():
        line = ", ".join(f'"{pattern}"' for pattern in read_manifest()["ignore"])
        plugin.log.warning(
            "an import of folders with stems would take them for tracks; say in config.yaml: ignore: [{}]", line
        )
