"""Whether library and stems agree: what is missing, what belongs to no song, and whether imports pass stems over."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

import beets
from beets import ui
from mediafile import MediaFile, UnreadableFileError

from plugin_core import AUDIO_SUFFIXES, STEMS_SUFFIX
from plugin_core.console.phrases import plural
from plugin_core.errors import StembridgeError
from plugin_core.model import Job, show_path
from plugin_core.session import Session
from stembridge_beets.configuration import core_settings, read_manifest
from stembridge_beets.fields import STEMS_PATH, Having
from stembridge_beets.host import UserError
from stembridge_beets.moves import find_left
from stembridge_beets.places import StemsPlace, read_place
from stembridge_beets.tasks import name_item, path_of

if TYPE_CHECKING:
    from beets.library import Item, Library

    from stembridge_beets.host import Host

_NEAR: Final = 0.05
"""Seconds by which readers of a file differ about its length."""
_ANOTHER: Final = 0.5
"""Seconds by which no form of a recording, resampled or coded anew, differs from it."""


def check(plugin: Host, lib: Library, args: Sequence[str], *, is_album: bool) -> None:
    """List missing stems of the songs that match, and stems below the library that belong to no song.

    Raises:
        UserError: there are some.
    """
    warn_of_ignore(plugin)
    query = list(args)
    items = [item for album in lib.albums(query) for item in album.items()] if is_album else list(lib.items(query))
    missing = orphans = left = replaced = 0
    with Session(core_settings(plugin.config)) as session:
        for item in items:
            place = read_place(item)
            if place is None:
                continue
            gone = place.missing
            for path in gone:
                ui.print_(f"missing: {show_path(path)} ({name_item(item)})")
            missing += len(gone)
            job = None if gone else find_job(session, item)
            if job is not None and find_left(item, place, job):
                ui.print_(f"left behind: {show_path(place.folder)} ({name_item(item)})")
                left += 1
            elif not gone and is_replaced(session, item, place, job):
                ui.print_(f"of another recording: {show_path(place.folder)} ({name_item(item)})")
                replaced += 1
    if not query:
        for folder in find_orphans(lib):
            ui.print_(f"orphan: {show_path(folder)}")
            orphans += 1
    if missing or orphans or left or replaced:
        more = f", {left} left behind, bring them along with: beet stembridge adopt" if left else ""
        more += f", {replaced} of another recording than the song is now; `beet stems` makes new ones" * bool(replaced)
        raise UserError(f"{missing} missing, {plural(orphans, 'orphan')}{more}")
    ui.print_("all stems are where they belong")


def find_job(session: Session, item: Item) -> Job | None:
    """Return the job that made the stems of a song, while it is known."""
    return session.store.find(str(item.get("stems_job", with_album=False))) if session.has_store else None


def is_replaced(session: Session, item: Item, place: StemsPlace, job: Job | None) -> bool:
    """Tell whether a song's file holds another recording than its stems were made of, as ``beet replace`` leaves it.

    It is read only where beets was not the last to write it, or where its length says so. Where the job is forgotten,
    the stems of a song that was written since say how long it was.
    """
    path = path_of(item)
    if not path.exists():
        return False
    if job is None:
        return item.mtime > place.folder.stat().st_mtime and abs(item.length - _length_of(place, item)) > _ANOTHER
    was = job.source
    if item.current_mtime() == item.mtime and abs(item.length - was.duration) < _NEAR:
        return False
    try:
        now = session.inspect(path)
        if abs(now.duration - was.duration) > _ANOTHER:
            return True
        # Of what was resampled or coded anew, nothing but its length can be compared.
        is_alike = (now.encoding, now.sample_rate, now.channels) == (was.encoding, was.sample_rate, was.channels)
        return is_alike and now.encoding != "lossy" and not session.is_song_of(job, path)
    except StembridgeError:
        # Whoever works on it will say so.
        return False


def _length_of(place: StemsPlace, item: Item) -> float:
    """Return how long the stems at a place are; as long as their song where none can be read."""
    for stem in place.files:
        if stem.suffix.lower() in AUDIO_SUFFIXES:
            with suppress(UnreadableFileError):
                return float(MediaFile(stem).length)
    return float(item.length)


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
