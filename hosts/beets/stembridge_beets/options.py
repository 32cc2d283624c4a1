"""What the commands are told: their options, and from their words to songs and ways of working."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import confuse

from stembridge_beets.configuration import read_count
from stembridge_beets.host import UserError
from stembridge_beets.run import Manners

if TYPE_CHECKING:
    from beets.library import Item, Library

    from stembridge_beets.host import Host


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


def read_words(plugin: Host, opts: RunOptions) -> Manners:
    """Return how a command is to work.

    Raises:
        UserError: a number of threads that is none.
    """
    threads = read_count(plugin.config, "threads") if opts.threads is None else opts.threads
    if opts.threads is not None and threads < 1:
        raise UserError(f"{threads} threads do nothing; leave -t out for as many as the service allows")
    return Manners(
        pretend=opts.pretend,
        quiet=read_flag(plugin, "quiet", opts.quiet),
        yes=read_flag(plugin, "yes", opts.yes),
        threads=threads,
    )


def read_flag(plugin: Host, key: str, option: bool | None) -> bool:
    """Return what an option says, or else our section of the configuration."""
    if option is not None:
        return option
    # YAML reads a bare yes as a truth value, also where it is a key.
    bare = plugin.config[True] if key == "yes" else None
    return bool((bare if bare is not None and bare.exists() else plugin.config[key]).get(bool))


def read_write(plugin: Host, option: bool | None) -> bool | None:
    """Return whether tags are written; None for what ``import.write`` says."""
    said: bool | None = plugin.config["write"].get(confuse.Optional(bool))
    return said if option is None else option
