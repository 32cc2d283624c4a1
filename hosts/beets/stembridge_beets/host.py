"""What the helpers need of beets and of the plugin: its error of one line, and as much of the plugin as they know."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

# Its home differs between the versions of beets, this name does not.
from beets.ui import UserError  # type: ignore[attr-defined] # not declared, and there in every 2.x

if TYPE_CHECKING:
    from beets.library import Item
    from beets.logging import BeetsLogger
    from confuse import Subview


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


class Host(Protocol):
    """The plugin, as everything that works for it sees it."""

    config: Subview
    """Our section of beets' configuration."""

    @property
    def log(self) -> BeetsLogger: ...

    def bring_stems(self, item: Item, source: bytes, destination: bytes, how: str) -> None:
        """Bring a song's stems after it, unless they are to stay where they are; whoever calls stores the item."""
