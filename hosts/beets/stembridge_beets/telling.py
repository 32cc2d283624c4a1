"""Telling the core where songs and stems were moved, so that its jobs follow and what was bought is found there."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plugin_core.errors import StembridgeError
from plugin_core.model import show_path
from plugin_core.plugins import load_plugins
from plugin_core.session import Session
from stembridge_beets.errors import UserError

if TYPE_CHECKING:
    from plugin_core.settings import Settings

_PATIENCE: Final = 2.0
"""Seconds that a job store in use is waited for: a song that is told of too late is found once its job goes on."""


class Teller:
    """Tells the core of moves; opens its job store once, and only where there is one.

    Args:
        log: where to tell what hinders it.
        settings: gives the core's settings.
    """

    def __init__(self, log: Any, settings: Callable[[], Settings]) -> None:
        self._log = log
        self._settings = settings
        self._session: Session | None = None
        self._is_hindered = False

    def tell(self, old: Path, new: Path) -> None:
        """Let jobs follow what was moved; whatever hinders this hinders nothing else, and is said once."""
        if self._is_hindered:
            return
        try:
            self._open().moved(old, new)
        except (StembridgeError, UserError) as error:
            self._is_hindered = True
            self._log.warning("jobs of {} go on with `beet stembridge resume` only: {}", show_path(old), error)

    def _open(self) -> Session:
        if self._session is None:
            # Nobody is asked for anything: no plugin is needed, and none is loaded.
            self._session = Session(self._settings(), load_plugins(()), patience=_PATIENCE)
            atexit.register(self._session.close)
        return self._session
