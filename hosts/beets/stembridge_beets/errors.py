"""The error by which a beets command ends with one line, and the library's own trouble told by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

# Its home differs between the versions of beets, this name does not.
from beets.ui import UserError  # type: ignore[attr-defined] # not declared, and there in every 2.x

__all__ = ["UserError", "library_trouble_told"]


@contextmanager
def library_trouble_told() -> Iterator[None]:
    """Tell in one line of a library that another program holds, or that cannot be written.

    Raises:
        UserError: so it is. What was to be done is noted on its songs, unless that was what failed.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UserError(
            f"the library cannot be used now ({error}): let the other program end, or look at its disk; then go on "
            "with: beet stembridge resume"
        ) from error
