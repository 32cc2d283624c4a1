"""Files that our own taggings changed: another hash, the same song."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from plugin_core.model import Source

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore

IsRetagged = Callable[[Source, str], bool]
"""Tell whether content of this hash is the source as our own taggings left it."""

_MAX_CHAIN: Final = 100


def never_retagged(_source: Source, _content: str) -> bool:
    """Know of no tagging."""
    return False


def origin_of(store: JobStore, content: str) -> str:
    """Return the hash a file had before we wrote labels into it for the first time; its own when we never did."""
    seen = {content}
    for _ in range(_MAX_CHAIN):
        written = (job.written for job in store.written_as(content))
        before = next((one.before for one in written if one is not None and one.before not in seen), None)
        if before is None:
            return content
        content = before
        seen.add(content)
    return content
