"""Paths as machines that share a store know them: a folder here is a name there.

With ``music = "/mnt/nas/music"`` the song ``/mnt/nas/music/a/b.flac`` is stored as ``music:/a/b.flac``, and a machine
that has the same folder at ``/Volumes/music`` finds it there. A name that a machine does not know stays as it is
stored: it can be listed, and what lies there is for others to work on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeVar

from plugin_core.errors import SettingsError
from plugin_core.model import decode_path, encode_path, from_json, show_path, to_json

T = TypeVar("T")

_NAME: Final = r"[a-z][a-z0-9_-]+"
"""One letter would be a drive of Windows."""
_STORED: Final = re.compile(rf"({_NAME}):(/.*|bytes:[0-9a-f]+)?", re.DOTALL)
_NAME_IT: Final = "name a folder above it in [paths] of config.toml, on each machine that works on such songs"
STAGING: Final = "staging"
"""The name of the folder that ``[jobs] staging`` says."""
_TAKEN: Final = frozenset({STAGING, "bytes"})


class PathMap:
    """The folders of one machine by the names they have in its store.

    Args:
        folders: by name; each is absolute, and none lies within another but for staging.
        is_shared: whether other machines read the store, so that a path in none of them is no use there.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None, *, is_shared: bool = False) -> None:
        self._folders = dict(folders or {})
        self._inner_first = sorted(self._folders.items(), key=lambda one: -len(one[1].parts))
        self.is_shared = is_shared
        self._mounts = {name: folder.is_mount() for name, folder in self._folders.items() if folder.is_dir()}
        """Whether each folder that was there at first was a disk or share of its own."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._folders)

    def in_use(self) -> AbstractContextManager[None]:
        """Let everything that is stored and read meanwhile, by this thread or task, go by these names."""
        return _AS_IT_IS if _IN_USE.get() is self else self._put_in_use()

    @contextmanager
    def _put_in_use(self) -> Iterator[None]:
        token = _IN_USE.set(self)
        try:
            yield
        finally:
            _IN_USE.reset(token)

    def sees(self, path: Path) -> bool:
        """Tell whether what the store knows by a path can lie on this machine."""
        return self._name_of(path) is not None or not (self.is_shared or _STORED.fullmatch(path.as_posix()))

    def away(self) -> dict[str, Path]:
        """Return the folders, by name, whose disk or share is not there now; looks at each, which may take long.

        What is left of one then is a folder without songs, or one that is no mount any more.
        """
        return {name: self._folders[name] for name in self._mounts if self._is_away(name)}

    def _is_away(self, name: str) -> bool:
        folder = self._folders[name]
        try:
            with os.scandir(folder) as found:
                is_empty = next(found, None) is None
            return (is_empty and name != STAGING) or (self._mounts[name] and not folder.is_mount())
        except OSError:
            return True

    def away_of(self, *paths: Path | None) -> Path | None:
        """Return the folder of one of some paths, or that of staging, if it is away; None if none is."""
        names = {STAGING, *(self._name_of(path) for path in paths if path is not None)}
        return next((self._folders[name] for name in self._mounts if name in names and self._is_away(name)), None)

    def encode(self, path: Path, *, is_asked: bool = False) -> str:
        """Return a path as it is stored.

        Args:
            path: as it is here.
            is_asked: whether it is only looked for: a path that cannot be stored finds nothing.

        Raises:
            SettingsError: no other machine could find it.
        """
        name = self._name_of(path)
        if name is not None:
            return f"{name}:{encode_path(Path('/') / path.relative_to(self._folders[name]).as_posix())}"
        if self.is_shared and not is_asked and not _STORED.fullmatch(path.as_posix()):
            raise SettingsError(
                f"{show_path(path)} lies in no folder of [paths], so that no other machine could find it",
                remedy=self._other_way(path) or _NAME_IT,
            )
        return str(encode_path(path))

    def _other_way(self, path: Path) -> str:
        """Return what to do about a path that is in a folder of ours by a link alone; "" where it is in none."""
        real = path.resolve()
        for name, folder in self._inner_first:
            there = folder.resolve()
            if real.is_relative_to(there):
                here = show_path(folder / real.relative_to(there))
                return f"it is {here} there: call it that, or let [paths] say {name} = {show_path(there)!r}"
        return ""

    def decode(self, text: str) -> Path:
        """Return a stored path as it is here."""
        found = _STORED.fullmatch(text) if self._folders else None
        folder = self._folders.get(found[1]) if found else None
        if found is None or folder is None:
            return _plain(text)
        return folder / _plain(found[2] or "/").relative_to("/")

    def _name_of(self, path: Path) -> str | None:
        for name, folder in self._inner_first:
            if path.is_relative_to(folder):
                return name
        return None


def check_folder(name: str, folder: Path, others: Mapping[str, Path]) -> str:
    """Return what is wrong with a folder that shall have a name in the store; "" for nothing."""
    if not re.fullmatch(_NAME, name) or name in _TAKEN:
        return f"{name!r} is no name for a folder: two or more of a-z, 0-9, _ and -, and none of {_list(_TAKEN)}"
    return check_place(folder) or _check_overlap(folder, others)


def check_place(folder: Path) -> str:
    """Return what is wrong with a folder that machines share; "" for nothing."""
    if re.match(r"[a-z][a-z0-9+.-]+:/", folder.as_posix()):
        # Its slashes were one by one.
        return (
            f"{show_path(folder).replace(':/', '://', 1)} is an address, and must be a folder of a share or s3://bucket"
        )
    if not folder.is_absolute():
        return f"{show_path(folder)} is no whole path"
    return "" if folder.is_dir() else f"{show_path(folder)} is no folder, or its disk is not mounted"


def _check_overlap(folder: Path, others: Mapping[str, Path]) -> str:
    real = folder.resolve()
    for name, other in others.items():
        resolved = other.resolve()
        if real.is_relative_to(resolved) or resolved.is_relative_to(real):
            return f"{show_path(folder)} and {show_path(other)} ({name}) lie one within the other"
    return ""


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _plain(text: str) -> Path:
    path = decode_path(Path, text)
    assert isinstance(path, Path)
    return path


UNMAPPED: Final = PathMap()
_IN_USE: ContextVar[PathMap] = ContextVar("path map", default=UNMAPPED)
_AS_IT_IS: Final = nullcontext()


def stored_path(path: Path) -> str:
    """Return a path as the store in use would have it, to look for it there."""
    return _IN_USE.get().encode(path, is_asked=True)


def stored_json(value: object) -> str:
    """Return what goes into a store in use, its paths by their names there.

    Raises:
        SettingsError: a path cannot be found by the other machines that read the store.
    """
    return to_json(value, _encode).decode()


def read_stored(text: str, kind: type[T]) -> T:
    """Return what ``stored_json`` wrote, with its paths as they are here.

    Raises:
        msgspec.MsgspecError: it did not write that.
    """
    return from_json(text, kind, _decode)


def _encode(value: object) -> object:
    return _IN_USE.get().encode(value) if isinstance(value, Path) else encode_path(value)


def _decode(kind: type, value: object) -> object:
    is_path = issubclass(kind, Path) and isinstance(value, str)
    return _IN_USE.get().decode(value) if is_path and isinstance(value, str) else decode_path(kind, value)
