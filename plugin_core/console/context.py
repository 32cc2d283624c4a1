"""What every command holds: settings, plugins, and how loud to be."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from plugin_core.console.logs import Logs
from plugin_core.settings import Settings

_PAYING_PATIENCE: Final = 600.0

if TYPE_CHECKING:
    from plugin_core.plugins import Plugins
    from plugin_core.session import Session


class Context:
    """The command line's own state, handed to each command as click's ``obj``.

    Args:
        settings: default the user's own.
        plugins: default every installed one, loaded on first use.
    """

    def __init__(self, settings: Settings | None = None, plugins: Plugins | None = None) -> None:
        self.settings = settings or Settings()
        self.logs = Logs(self.settings.home)
        self.quiet = False
        self._plugins = plugins

    @cached_property
    def plugins(self) -> Plugins:
        """All plugins of this process."""
        from plugin_core.plugins import load_plugins

        return self._plugins or load_plugins(environ=self.settings.environ)

    def session(self, *, is_paying: bool = False) -> Session:
        """Open a session of these settings and plugins.

        Args:
            is_paying: whether it may be in the middle of something that was paid for: then it waits for long for a job
                store that another process uses, rather than end.

        Raises:
            SettingsError: the settings file cannot be read; asked for here it is told once, not by each plugin.
        """
        from plugin_core.session import Session

        _ = self.settings.document
        return Session(self.settings, self.plugins, patience=_PAYING_PATIENCE if is_paying else None)
