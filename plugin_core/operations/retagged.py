"""Files that our own taggings changed: another hash, the same song."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from plugin_core.model import JobState, Source, Tagging, Written, from_json

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_core.jobs.store import JobStore

IsRetagged = Callable[[Source, str], bool]
"""Tell whether content of this hash is the source as our own taggings left it."""

_MAX_CHAIN: Final = 100
_RECORD: Final = "written.json"
"""What a tagging keeps in its staging before it replaces the file."""


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


def written_just_now(store: JobStore, home: Path, content: str) -> str:
    """Return the hash before a tagging that has put content of this hash in place and is not done yet; empty: none."""
    for job in store.list(states=[JobState.PUBLISHING]):
        if isinstance(job.operation, Tagging):
            written = _read_record((job.staging or home / "staging" / job.id) / _RECORD)
            if written is not None and written.after == content:
                return written.before
    return ""


def _read_record(path: Path) -> Written | None:
    try:
        return from_json(path.read_bytes(), Written)
    except (FileNotFoundError, NotADirectoryError):
        # Nothing was about to be written, or it is done meanwhile.
        return None
