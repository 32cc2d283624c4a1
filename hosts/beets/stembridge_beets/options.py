"""What the commands are told: their options, and from their words to songs and ways of working."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from stembridge_beets.configuration import read_count
from stembridge_beets.errors import UserError
from stembridge_beets.run import Words

if TYPE_CHECKING:
    from beets.library import Item, Library
    from beetsplug.stembridge import StembridgePlugin


class RunOptions(Protocol):
    """What both commands are told."""

    pretend: bool
    force: bool
    quiet: bool
    yes: bool
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


def select_items(lib: Library, args: Sequence[str], *, is_album: bool) -> list[Item]:
    """Return the songs that match a query, each once.

    Raises:
        UserError: nothing matches.
    """
    query = list(args)
    found = [item for album in lib.albums(query) for item in album.items()] if is_album else list(lib.items(query))
    if not found:
        raise UserError(f"no {'album' if is_album else 'track'} matches {' '.join(query) or 'in this library'}")
    return list({item.id: item for item in found}.values())


def read_words(plugin: StembridgePlugin, opts: RunOptions) -> Words:
    """Return how a command is to work.

    Raises:
        UserError: a number of threads that is none.
    """
    threads = read_count(plugin.config, "threads") if opts.threads is None else opts.threads
    if opts.threads is not None and threads < 1:
        raise UserError(f"{threads} threads do nothing; leave -t out for as many as the service allows")
    return Words(pretend=opts.pretend, quiet=opts.quiet, yes=opts.yes, threads=threads)
