"""A source that became another file while its job was under way: its stems must not pass for the other's."""

from __future__ import annotations

import os
from collections.abc import Callable

from plugin_core.errors import SourceError, TransientError
from plugin_core.model import Source, show_path
from plugin_core.operations.inspect import require_same_song, require_unchanged
from plugin_core.operations.retagged import IsRetagged


def require_no_other(source: Source, is_retagged: IsRetagged, *, check: Callable[[], None] = lambda: None) -> None:
    """Make sure that no other song lies where a source lay; one that is gone is in nobody's way.

    Args:
        source: as it was queued.
        is_retagged: tells of a content hash whether our own taggings made it of the source.
        check: called for each MiB read; raise there to stop.

    Raises:
        SourceError: it is of another length or kind now.
        TransientError: the disk or share does not answer.
    """
    try:
        require_same_song(source, is_retagged, check=check)
    except SourceError as error:
        if os.path.lexists(source.path):
            raise SourceError(
                f"{show_path(source.path)} is another song than the one that was separated",
                remedy="put that one back to have its stems placed",
            ) from error


def describe_change(source: Source, is_retagged: IsRetagged, *, check: Callable[[], None]) -> tuple[str, ...]:
    """Return a note where a source was changed meanwhile though it is as long as it was: retagged, or mixed anew."""
    try:
        require_unchanged(source, is_retagged, check=check)
    except SourceError:
        if os.path.lexists(source.path):
            return (f"{source.path.name} was changed meanwhile; these are the stems of what it was before",)
    except TransientError:
        # The disk is away: whoever places the stems finds out.
        return ()
    return ()
