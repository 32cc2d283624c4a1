"""Who works on a job: a token for each open store, and a lock that shows others whether its process lives."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import sys
import weakref
from pathlib import Path
from typing import Final, Protocol

from plugin_core.errors import StoreError
from plugin_core.files.locks import try_lock
from plugin_core.model import show_path

_log = logging.getLogger(__name__)

MACHINE: Final = 8
"""Characters of a token that tell the machine, where machines share a store."""

_SUFFIX: Final = ".lock"


class Token(Protocol):
    """Who claims jobs through one open store."""

    @property
    def token(self) -> str: ...

    def new_owner(self) -> str:
        """Return a name for one claim, unique for ever; fit for a file name."""
        ...

    def is_own(self, owner: str) -> bool:
        """Tell whether this token made the name."""
        ...

    def is_gone(self, owner: str) -> bool:
        """Tell whether this owner may be taken its job away before its lease ran out."""
        ...

    def is_dead(self, owner: str) -> bool:
        """Tell whether the process of this owner surely ended."""
        ...

    def hold(self) -> None:
        """Make sure that others can tell that this process lives."""
        ...

    def close(self) -> None:
        """Give the token up: its owners count as dead from now on."""
        ...


class ProcessToken:
    """A token that lives as long as its process; the locked file ``<folder>/<token>.lock`` proves it.

    A frozen process keeps its lock; a killed one loses it at once, also when seen from another pid namespace.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._remove_dead()
        self.token, self._file = self._make()
        _living.add(self)

    def new_owner(self) -> str:
        return f"{self.token}-{next(self._numbers)}"

    def is_own(self, owner: str) -> bool:
        return token_of(owner) == self.token

    def is_gone(self, owner: str) -> bool:
        return self.is_dead(owner)

    def is_dead(self, owner: str) -> bool:
        return not self.is_own(owner) and is_dead(self._folder / f"{token_of(owner)}{_SUFFIX}")

    def hold(self) -> None:
        """Do nothing: the lock stays for as long as the process."""

    def close(self) -> None:
        _living.discard(self)
        if self._file >= 0:
            _remove(self._folder / f"{self.token}{_SUFFIX}", self._file)
            self._file = -1

    def forget(self) -> None:
        """Let go of a lock inherited by fork: only the parent may hold it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _make(self) -> tuple[str, int]:
        while True:
            token = secrets.token_hex(8)
            path = self._folder / f"{token}{_SUFFIX}"
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise StoreError(
                    f"{show_path(path)}: {error.strerror}", remedy="make the folder writable or move STEMBRIDGE_HOME"
                ) from error
            # A process that tidies up may take the new file for a dead one before it is locked.
            if try_lock(file) and _is_same(path, file):
                return token, file
            os.close(file)

    def _remove_dead(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            is_dead(path)


_living: weakref.WeakSet[ProcessToken] = weakref.WeakSet()


def _forget_all() -> None:
    for token in list(_living):
        token.forget()
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def token_of(owner: str) -> str:
    """Return the process token inside an owner's name."""
    return owner.partition("-")[0]


def is_dead(path: Path) -> bool:
    """Tell whether nobody holds a lock file any more; a dead one is removed."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError as error:
        _log.warning("cannot look at %s: %s", show_path(path), error)
        return False
    if not try_lock(file):
        os.close(file)
        return False
    _remove(path, file)
    return True


def _remove(path: Path, file: int) -> None:
    """Unlink and close: in this order where possible, so that nobody locks a file that is about to go."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            os.close(file)
            path.unlink()
        else:
            try:
                path.unlink()
            finally:
                os.close(file)


def _is_same(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False
