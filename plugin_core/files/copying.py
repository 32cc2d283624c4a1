"""Copying a file durably: sharing its blocks where the file system can, inside the kernel where the system can."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError, StembridgeError, TransientError
from plugin_core.files.errors import FULL, explain_write_error

_CHUNK: Final = 1 << 26


def copy_file(old: Path, new: Path, check: Callable[[], None] = lambda: None, *, flush: bool = True) -> None:
    """Copy the bytes of a file, replacing what is there, and flush them to the disk unless more is to be written.

    A copy, and no hard link: whoever edits one of the two must not find the other changed.
    ``check`` is called now and then and may raise.
    """
    with old.open("rb") as source, new.open("wb") as target:
        if not _copy_in_kernel(source.fileno(), target.fileno(), check):
            check()
            shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        if flush:
            os.fsync(target.fileno())


def copy_tree(old: Path, new: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """Copy a folder and all below it; links stay links.

    Raises:
        OSError: the first thing that went wrong, as the system says it; the copy is not whole.
    """
    try:
        shutil.copytree(old, new, symlinks=True, copy_function=copy)
    except shutil.Error as error:
        raise _first_of(error) from error


def _first_of(error: shutil.Error) -> OSError:
    """Return the first error of a copied tree, of which shutil keeps the words alone, in a list."""
    _, target, said = error.args[0][0]
    found = re.match(r"\[Errno (\d+)\]", str(said))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number) if found else str(said), os.fspath(target))


def explain_os_error(error: OSError, path: Path) -> StembridgeError:
    """Turn what the system said of a place into one line for people: a full disk and a lost share pass by."""
    told = explain_write_error(path, error)
    if isinstance(told, TransientError):
        return told
    return PlacementError(told.message, remedy="choose another place with --to FOLDER")


def _copy_in_kernel(source: int, target: int, check: Callable[[], None]) -> bool:
    """Copy everything, or say that nothing could be copied this way."""
    if not hasattr(os, "copy_file_range"):
        return False
    is_begun = False
    try:
        while os.copy_file_range(source, target, _CHUNK):
            is_begun = True
            check()
    except OSError as error:
        if is_begun or error.errno in FULL:
            raise
        return False
    return is_begun
