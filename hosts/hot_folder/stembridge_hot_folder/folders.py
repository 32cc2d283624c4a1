"""Hot folders before they are watched, each for itself, none in another; and section ``[watch]`` of the settings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from plugin_core.errors import UsageError
from plugin_core.files.disk import device_of, filesystem_kind, is_network
from plugin_core.files.names import fold
from plugin_core.model import show_path
from stembridge_hot_folder.files import path_of, shown
from stembridge_hot_folder.scan import Names, ScanRules
from stembridge_hot_folder.settler import Patience

Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=86400.0)]


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How hot folders are watched."""

    folders: tuple[Path, ...] = ()
    """Folders to watch when the command names none."""
    preset: str = ""
    """Preset for songs outside every preset's folder; empty means what ``stembridge separate`` would do."""
    done: str = ""
    """Folder that finished songs move to with their stems, from the hot folder; empty leaves them where they are."""
    duplicates: str = ""
    """Folder that songs move to which were done before under another name; empty leaves them."""
    failed: str = ""
    """Folder that failed songs move to with their notes; empty leaves them."""
    unknown: Literal["usual", "hold"] = "usual"
    """What becomes of songs in a folder that names no preset: the usual, or nothing until it names one."""
    sessions: bool = False
    """Whether songs are taken out of the folders of a DAW's session."""
    settle_seconds: Seconds = 5.0
    """A file is taken once nothing of it changed for so long."""
    share_settle_seconds: Seconds = 15.0
    """The same for network shares, which tell of changes late."""
    rescan_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=86400.0)] = 60.0
    """Every folder is looked through so often, whatever the system tells of changes."""
    share_rescan_seconds: Annotated[float, msgspec.Meta(ge=0.2, le=86400.0)] = 15.0
    """The same for network shares, and where the system cannot tell of changes."""
    max_wait_seconds: Seconds = 600.0
    """A file that has not settled for so long is warned about; it is never given up."""
    at_once: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    """Songs in work at the same time; each provider has its own limit as well."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """Tries after which a song that is in trouble makes room for others and is told of beside it."""
    suffixes: tuple[str, ...] = ()
    """More endings to take for songs (``.mp4``)."""
    ignore: tuple[str, ...] = ()
    """More names to pass over, as patterns (``*demo*``)."""
    again: bool = False
    """Whether songs are done that were done before under another name."""


_SLOW_KINDS: Final = ("fuse", "9p", "vboxsf", "drvfs", "vmhgfs", "virtiofs", "prl_fs", "cvfs", "fakeowner", "afpfs")
"""Mounts that tell of no changes made on their other side."""


class HotFolder(msgspec.Struct, frozen=True, kw_only=True):
    """One folder to watch."""

    path: bytes
    """Absolute, links resolved."""
    kind: str = ""
    """Type of its file system, where the system says."""
    done: bytes = b""
    """Where finished songs go; empty leaves them."""
    duplicates: bytes = b""
    """Where songs go that were done before."""
    failed: bytes = b""
    """Where failed songs go."""
    disks: dict[bytes, int] = {}
    """Device that each of these three was on at the start, or would have been made on."""
    patience: Patience = Patience()
    rescan: float = 60.0
    names: Names

    @property
    def is_share(self) -> bool:
        """Whether it lies on another machine, or on a mount whose other side changes unseen."""
        return is_slow(self.kind)

    @property
    def shown(self) -> str:
        """The path for people."""
        return shown(self.path)

    def __str__(self) -> str:
        """Return the path and what is particular about it, for people."""
        words = [f"a {self.kind} mount, looked through every {self.rescan:g} s"] if self.is_share else []
        names = {"done": "finished", "duplicates": "duplicate", "failed": "failed"}
        words += [f"{names[name]} songs move to {os.fsdecode(place)}" for name, place in self.places.items()]
        return f"{self.shown} ({'; '.join(words)})" if words else self.shown

    @property
    def places(self) -> dict[str, bytes]:
        """Where songs are moved to, by setting."""
        named = {"done": self.done, "duplicates": self.duplicates, "failed": self.failed}
        return {name: place for name, place in named.items() if place}

    def rules(self) -> ScanRules:
        """Return what a walk takes; a folder that songs are moved to is known by what it is, not by its name."""
        places, excluded = self.places.values(), []
        for place in places:
            # Made with the first song that is moved there.
            with contextlib.suppress(OSError):
                status = os.stat(place)
                excluded.append((status.st_dev, status.st_ino))
        is_share = is_network(self.kind)
        return ScanRules(names=self.names, excluded=excluded, passed=tuple(places), is_share=is_share)


def is_slow(kind: str) -> bool:
    """Tell whether a file system tells late, or not at all, of changes."""
    return is_network(kind) or kind.lower().startswith(_SLOW_KINDS)


def open_folders(
    paths: Sequence[Path], settings: WatchSettings, *, kind_of: Callable[[Path], str] = filesystem_kind
) -> list[HotFolder]:
    """Return the folders to watch.

    Raises:
        UsageError: one is missing, lies in another, or shares its folder of finished songs with another.
    """
    names = Names(settings.suffixes, settings.ignore, sessions=settings.sessions)
    folders = [_open(path, settings, names, kind_of) for path in paths]
    _refuse_nested(folders)
    _refuse_shared_places(folders)
    return folders


def refuse_results_inside(folder: HotFolder, places: Iterable[Path]) -> None:
    """Refuse to put stems where songs are looked for.

    Raises:
        UsageError: a preset places stems inside the folder.
    """
    for place in places:
        resolved = os.fsencode(place.resolve())
        if _is_inside(resolved, folder.path) and not _is_passed(resolved, folder):
            raise UsageError(
                f"a preset places stems in {show_path(place)}, inside the hot folder {folder.shown}",
                remedy="place them outside, or beside the songs",
            )


def refuse_home_inside(folders: Iterable[HotFolder], home: Path) -> None:
    """Refuse to watch stembridge's own data.

    Raises:
        UsageError: the home folder lies in a hot folder.
    """
    for folder in folders:
        if _is_inside(os.fsencode(home.resolve()), folder.path):
            raise UsageError(
                f"stembridge keeps its own data in {show_path(home)}, inside {folder.shown}",
                remedy="point STEMBRIDGE_HOME elsewhere",
            )


def _open(path: Path, settings: WatchSettings, names: Names, kind_of: Callable[[Path], str]) -> HotFolder:
    absolute = path.expanduser().absolute()
    if not absolute.is_dir():
        raise UsageError(f"{show_path(path)} is no folder", remedy="make it, or mount its disk, first")
    resolved = absolute.resolve()
    if not os.access(resolved, os.R_OK | os.X_OK):
        raise UsageError(f"{show_path(path)} may not be read", remedy="check its permissions")
    kind = kind_of(resolved)
    slow = is_slow(kind)
    places = {name: _resolve(name, getattr(settings, name), resolved) for name in ("done", "duplicates", "failed")}
    return HotFolder(
        path=os.fsencode(resolved),
        kind=kind,
        **places,
        disks={place: _read_device(name, place) for name, place in places.items() if place},
        patience=Patience(
            settle=settings.share_settle_seconds if slow else settings.settle_seconds,
            max_wait=settings.max_wait_seconds,
        ),
        rescan=settings.share_rescan_seconds if slow else settings.rescan_seconds,
        names=names,
    )


def _resolve(setting: str, place: str, root: Path) -> bytes:
    """Return where songs are moved to; a link is followed once, now: one that comes later is not."""
    if not place:
        return b""
    resolved = (root / Path(place).expanduser()).resolve()
    if resolved == root:
        raise UsageError(f"[watch] {setting} is the hot folder itself", remedy=f'name a folder in it: "{setting}"')
    return os.fsencode(resolved)


def _read_device(setting: str, place: bytes) -> int:
    path = path_of(place)
    try:
        return device_of(path)
    except OSError as error:
        raise UsageError(
            f"[watch] {setting}: {show_path(path)} may not be read: {error.strerror}", remedy="check its permissions"
        ) from error


def _refuse_nested(folders: Sequence[HotFolder]) -> None:
    for number, one in enumerate(folders):
        for other in folders[number + 1 :]:
            if _is_same(one.path, other.path):
                raise UsageError(f"{one.shown} is named twice", remedy="name each folder once")
            for inner, outer in ((one, other), (other, one)):
                if _is_inside(inner.path, outer.path):
                    raise UsageError(f"{inner.shown} lies in {outer.shown}", remedy="watch only one of the two")


def _refuse_shared_places(folders: Sequence[HotFolder]) -> None:
    for one in folders:
        for other in folders:
            if one is other:
                continue
            for name, place in one.places.items():
                if _is_inside(place, other.path):
                    raise UsageError(
                        f"songs of {one.shown} would move into {other.shown}", remedy=f"change [watch] {name}"
                    )
                if any(_is_same(place, theirs) for theirs in other.places.values()):
                    raise UsageError(
                        f"{one.shown} and {other.shown} share {shown(place)}",
                        remedy=f'give each its own: [watch] {name} = "{name}" is one in each folder',
                    )


def _is_same(one: bytes, other: bytes) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return fold(os.fsdecode(one)) == fold(os.fsdecode(other))


def _is_inside(path: bytes, folder: bytes) -> bool:
    """Tell whether a path is a folder or lies in it, by name without case, and by what the folders above are."""
    below, above = fold(os.fsdecode(path)), fold(os.fsdecode(folder))
    if below == above or below.startswith(above.rstrip(os.sep) + os.sep):
        return True
    current = path
    while True:
        if os.path.exists(current) and _is_same(current, folder):
            return True
        parent = os.path.dirname(current)
        if parent == current:
            return False
        current = parent


def _is_passed(path: bytes, folder: HotFolder) -> bool:
    relative = os.path.relpath(path, folder.path)
    return any(folder.names.why_passed(part) for part in relative.split(os.fsencode(os.sep)))
