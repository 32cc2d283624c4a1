"""What the helpers need of the plugin, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from beets.library import Item
    from beets.logging import BeetsLogger
    from confuse import Subview


class Host(Protocol):
    """The plugin, as everything that works for it sees it."""

    config: Subview
    """Our section of beets' configuration."""

    @property
    def log(self) -> BeetsLogger: ...

    def bring_stems(self, item: Item, source: bytes, destination: bytes, how: str) -> None:
        """Bring a song's stems after it, unless they are to stay where they are; whoever calls stores the item."""
