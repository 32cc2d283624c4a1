"""What every command holds: settings, plugins, how loud to be, and the log."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plugin_core.console.phrases import clean
from plugin_core.settings import Settings
from plugin_core.transfer.redaction import redact

if TYPE_CHECKING:
    from plugin_core.console.display import Display
    from plugin_core.plugins import Plugins
    from plugin_core.session import Session


_PAYING_PATIENCE: Final = 600.0


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


def choose_display(*, as_json: bool, quiet: bool) -> Display:
    """Return the display that fits: JSON on request, live on a terminal, plain lines elsewhere."""
    if as_json:
        from plugin_core.console.json_lines import JsonDisplay

        return JsonDisplay()
    if not quiet and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from plugin_core.console.live import LiveDisplay

        return LiveDisplay()
    from plugin_core.console.display import PlainDisplay

    return PlainDisplay(quiet=quiet)


ROOTS: Final = tuple(
    map(logging.getLogger, ("plugin_core", "stembridge_reaper", "stembridge_hot_folder", "stembridge_ui"))
)
"""What the core and the hosts that are commands of ours log to; beets shows what its plugin tells."""

MAX_BYTES = 1_000_000
BACKUPS = 3
_AT_ONCE = 1.0
"""Seconds within which a line that was just told is the same news."""
_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


class Logs:
    """The log handlers of this process.

    Args:
        home: stembridge's home folder; its ``logs`` folder is made with the first record.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "logs" / "stembridge.log"
        self._file = _FileHandler(self.path)
        self._error_stream = _StandardErrorHandler()

    def open(self, *, verbose: bool, quiet: bool) -> None:
        """Begin to log: warnings (verbose: everything, quiet: errors) to standard error."""
        self._error_stream.verbose = verbose
        self._error_stream.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING)
        self._file.setLevel(logging.DEBUG if verbose else logging.INFO)
        for root in ROOTS:
            root.setLevel(logging.DEBUG if verbose else logging.INFO)
            for handler in (self._file, self._error_stream):
                # Adding one twice adds it once.
                root.addHandler(handler)

    def has_said(self, line: str) -> bool:
        """Tell whether standard error was told this line already."""
        return line in self._error_stream.said

    def close(self) -> None:
        """End logging and close the file."""
        for handler in (self._file, self._error_stream):
            for root in ROOTS:
                root.removeHandler(handler)
            handler.close()

    def keep_traceback(self, message: str, error: BaseException) -> bool:
        """Write an unexpected error to the file alone, and tell whether that worked."""
        trace = (type(error), error, error.__traceback__)
        record = ROOTS[0].makeRecord(ROOTS[0].name, logging.CRITICAL, __file__, 0, "%s", (message,), trace)
        self._file.handle(record)
        return not self._file.is_broken


class _Formatter(logging.Formatter):
    """One line a record whatever its words hold, secrets masked, so that none can pass for another.

    A traceback keeps its lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return clean(redact(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(f"  {clean(line)}" for line in redact(super().formatException(ei)).split("\n"))


class _StandardErrorHandler(logging.Handler):
    """One line a record, once in a row, to whatever standard error is at that moment (a live display replaces it)."""

    verbose = False

    def __init__(self) -> None:
        super().__init__()
        self.said: deque[str] = deque(maxlen=100)
        """The last lines."""
        self._last = 0.0
        self.setFormatter(_Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record) if self.verbose else clean(redact(" ".join(record.getMessage().split())))
        # Five plugins that read one broken settings file are one mistake; the same an hour later is news.
        is_repeated = bool(self.said) and text == self.said[-1] and record.created - self._last < _AT_ONCE
        if self.verbose or not is_repeated:
            print(f"stembridge: {text}", file=sys.stderr)
        self.said.append(text)
        self._last = record.created


class _FileHandler(logging.Handler):
    """A rotating file that is made with the first record; a log that cannot be written hinders nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.setFormatter(_Formatter(_FORMAT))
        self.is_broken = False
        self._path = path
        self._target: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.is_broken:
            return
        try:
            self._open().emit(record)
        except (OSError, ValueError):
            # A full disk, a folder that is gone, a file that is closed.
            self.is_broken = True

    def close(self) -> None:
        if self._target is not None:
            # What the full disk did not take is tried once more.
            with suppress(OSError):
                self._target.close()
            self._target = None
        super().close()

    def _open(self) -> logging.Handler:
        if self._target is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._target = _open_rotating(self._path)
            self._target.setFormatter(self.formatter)
        return self._target


def _open_rotating(path: Path) -> logging.Handler:
    # Imported with the first record: it brings sockets along.
    from logging.handlers import RotatingFileHandler

    class RaisingHandler(RotatingFileHandler):
        """Raises what went wrong, where logging's own handlers print a traceback."""

        def shouldRollover(self, _record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
            # Theirs formats each record to know its length, and then once more to write it.
            return self.stream is not None and self.stream.tell() >= self.maxBytes

        def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
            raise

    return RaisingHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="backslashreplace")
