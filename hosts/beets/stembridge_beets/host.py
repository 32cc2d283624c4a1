"""What the helpers need of beets and of the plugin: its error of one line, the plugin as they know it, its options."""

from __future__ import annotations

import re
import runpy
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

# Its home differs between the versions of beets, this name does not.
from beets.ui import UserError  # type: ignore[attr-defined] # not declared, and there in every 2.x

if TYPE_CHECKING:
    from beets.library import Item
    from beets.logging import BeetsLogger
    from confuse import Subview


__all__ = ["UserError", "in_beets_words", "trouble_told"]


@contextmanager
def trouble_told() -> Iterator[None]:
    """Tell in one line of what the core refuses, and of a library that is held elsewhere, or cannot be written.

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
    except Exception as error:
        # Beets starts without the core.
        from plugin_core.errors import StembridgeError

        if not isinstance(error, StembridgeError):
            raise
        from plugin_core.console.phrases import clean

        raise UserError(in_beets_words(clean(str(error)))) from error


CORE_WORDS: Final = (
    "account",
    "doctor",
    "fetch",
    "jobs",
    "login",
    "models",
    "mvsep",
    "plugins",
    "purchases",
    "tencent",
)
"""What ``beet stembridge`` can be told beside its own words: the same of stembridge's command line."""

_COMMAND: Final = re.compile(rf"(?<!beet )\bstembridge ((?:{'|'.join(CORE_WORDS)})\b[^`;,\n]*?)( --|(?=[`;,\n]|$))")
"""What is left of our command line, and its first option, which would be beet's own without a -- before it."""

_REMEDIES: Final = (
    (r"`stembridge jobs retry \S+ --force`", "{again}"),
    (r"`stembridge jobs retry [^`]*`", "`beet stembridge {later}`"),
    (r"with --force it is bought again if need be", "{again} buys it again if need be"),
    (r"(choose another place|name an existing one) with --to FOLDER", r"\1 by a preset that says to = FOLDER"),
    (
        r"use --format (\S+) or --on-overload (\S+) \(of a preset: on_overload\)",
        r"use a preset that says format = \1 or on_overload = \2",
    ),
    (r"retry the job, or", "`beet stembridge retry`, or"),
    (r"separate it again with --as-is, which", "use a preset that says as_is = true, which"),
)


def in_beets_words(text: str, again: str = "`beet stems -f`", later: str = "resume") -> str:
    """Return a message whose remedies somebody in beets can follow.

    Args:
        text: the message, as the command line would tell it.
        again: the command that makes and buys a thing again.
        later: the word that goes on with it: ``resume`` where that is noted on its song, else ``retry``.
    """
    for theirs, ours in _REMEDIES:
        text = re.sub(theirs, ours.replace("{again}", again).replace("{later}", later), text)
    return _COMMAND.sub(lambda found: f"beet stembridge {found[1]}{' -- --' if found[2] else ''}", text)


def speak() -> None:
    """Be the command line of stembridge, in words that somebody in beets can follow."""
    from plugin_core.console.phrases import speak_as

    speak_as(in_beets_words)
    runpy.run_module("plugin_core", run_name="__main__")


class Host(Protocol):
    """The plugin, as everything that works for it sees it."""

    config: Subview
    """Our section of beets' configuration."""

    @property
    def log(self) -> BeetsLogger: ...

    def bring_stems(self, item: Item, source: bytes, destination: bytes, how: str) -> None:
        """Let jobs and stems follow a song, unless stems are to stay; whoever calls stores the item."""


class OwnOptions(Protocol):
    """What every command is told; None for what the configuration says."""

    pretend: bool
    quiet: bool | None
    yes: bool | None


class RunOptions(OwnOptions, Protocol):
    """What both commands are told that work on songs."""

    force: bool | None
    album: bool
    threads: int | None


class StemsOptions(RunOptions, Protocol):
    """What ``beet stems`` is told."""

    preset: str | None
    provider: str | None
    model: str | None
    check: bool


class MoodsOptions(RunOptions, Protocol):
    """What ``beet moods`` is told."""

    write: bool | None
    dimensions: str | None
    undo: bool
