"""Taking labels out of a song again: the very file that was there before, or only the fields that were written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.errors import SourceError, UsageError
from plugin_core.model import Job, Written, show_path
from plugin_core.operations.retagged import origin_of
from plugin_core.stems.fingerprint import hash_file
from plugin_core.tags.exchange import Manners, real_file
from plugin_core.tags.inject import read_fields
from plugin_core.tags.labelling import job_named_in
from plugin_core.tags.rules import PROVENANCE
from plugin_core.tags.tagger import Writing, restore_exactly, restore_fields

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore

Fields = Mapping[str, tuple[str, ...]]


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What was put back."""

    path: Path
    job: str
    """Whose labels were taken out."""
    fields: dict[str, tuple[str, ...]]
    """What stands in its fields now; empty where nothing does."""
    exact: bool
    """Whether the whole file is what it was, byte for byte."""


def undo(
    path: Path, store: JobStore, manners: Manners, *, mark: str, force: bool = False, dry_run: bool = False
) -> Undone:
    """Put back what stood in a song before it was labelled last, wherever the song has been moved to.

    A file that nobody touched since becomes byte for byte what it was. When only other fields were changed, these stay
    and ours go back.

    Args:
        path: the song.
        store: the job store, which knows what was written.
        manners: how files are replaced.
        mark: unique to this call, for the name of the copy.
        force: whether fields that were changed since are put back as well.
        dry_run: whether to only say what would be done.

    Raises:
        SourceError: nothing is known of labels in this file, or it cannot be read.
        UsageError: the labels were changed since, and ``force`` is not set.
        PlacementError: the file may not be replaced.
        TransientError: the disk is full or gone, or the file is being written.
    """
    file = real_file(path)
    content = hash_file(file).sha256
    writing = Writing(file, mark, manners)
    job, written = _find_same(store, file, content)
    if job is not None and written is not None and written.recipe:
        if not dry_run:
            restore_exactly(writing, written)
        return Undone(path=file, job=job.id, fields=written.previous, exact=True)
    found = read_fields(file)
    if job is None or written is None:
        job, written = _find_changed(store, file, found)
        if content == origin_of(store, written.after):
            raise _undone_already(file)
    if not force:
        _require_own(file, found, written)
    if not dry_run:
        restore_fields(writing, written.previous)
    return Undone(path=file, job=job.id, fields=written.previous, exact=False)


def _find_same(store: JobStore, file: Path, content: str) -> tuple[Job | None, Written | None]:
    """Find who left exactly this file: two songs that differed in their labels alone can have become the same."""
    found = [(job, job.written) for job in store.written_as(content) if job.written is not None]
    changes = [(job, written) for job, written in found if written.before != written.after]
    here = [change for change in changes if change[1].path == file]
    moved = [change for change in changes if not change[1].path.exists()]
    return next(iter((*here, *moved, *changes)), (None, None))


def _find_changed(store: JobStore, file: Path, found: Fields) -> tuple[Job, Written]:
    """Find who labelled a file that was changed since: it says so itself, or it is where it was."""
    named = store.find(job_named_in("".join(found.get(PROVENANCE, ())[:1])))
    for job in (named, store.written_at(file)):
        if job is not None and job.written is not None and job.written.before != job.written.after:
            return job, job.written
    raise SourceError(
        f"no labels by stembridge are known in {show_path(file)}",
        remedy="it was never labelled here, or its job was forgotten (stembridge jobs prune)",
    )


def _undone_already(file: Path) -> SourceError:
    return SourceError(f"the labels in {show_path(file)} are undone already")


def _require_own(file: Path, found: Fields, written: Written) -> None:
    """Refuse to touch fields that somebody changed."""
    if all(found.get(name, ()) == values for name, values in written.previous.items()):
        raise _undone_already(file)
    changed = [name for name, values in written.fields.items() if found.get(name, ()) != values]
    if changed:
        raise UsageError(
            f"{', '.join(changed)} of {show_path(file)} changed since stembridge wrote it",
            remedy="--force puts back what stood there before",
        )
