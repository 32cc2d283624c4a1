"""Writing labels into a song and taking them out again, each as one exchange of the whole file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugin_core.errors import SourceError, UsageError
from plugin_core.model import Source, Written, show_path
from plugin_core.tags.exchange import (
    Draft,
    Manners,
    check_replaceable,
    draft_of,
    dress,
    flush,
    real_file,
    replace_with,
)
from plugin_core.tags.files import open_tagged, write_error
from plugin_core.tags.inject import edit_labels, read_fields, require_place, split_joined
from plugin_core.tags.labelling import Decision
from plugin_core.tags.recipe import RecipeError, follow_recipe, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

Decide = Callable[[Mapping[str, tuple[str, ...]]], Decision]
"""Choose what to write, from the fields of the file as it is."""
Record = Callable[[Written], None]
"""Make what is about to be done durable, before it is done."""


@dataclass(frozen=True)
class Writing:
    """One change of one file."""

    path: Path
    mark: str
    """Unique to this attempt, for the name of the copy."""
    manners: Manners = field(default_factory=Manners)
    known: Source | None = None
    """The file as it was looked at; spares reading it once more where it is the same."""


def check_taggable(path: Path, manners: Manners) -> None:
    """Make sure that a file can be given tags, before anything is spent.

    Raises:
        SourceError: it is gone, broken, or of a kind without tags.
        PlacementError: it may not be replaced.
    """
    file = real_file(path)
    check_replaceable(file, manners)
    with open_tagged(file, writable=True) as opened:
        require_place(opened, file)


def write_labels(writing: Writing, decide: Decide, record: Record) -> Written:
    """Write what ``decide`` chooses into a copy and put that in the file's place.

    Args:
        writing: the file.
        decide: chooses the fields.
        record: called before the rename, with what the file will be.

    Raises:
        SourceError: the file is gone, broken, or of a kind without tags.
        PlacementError: it may not be replaced.
        TransientError: the disk is full or gone, or the file is being written; nothing was changed.
    """
    file = real_file(writing.path)
    check_replaceable(file, writing.manners)
    with draft_of(file, writing.mark) as draft:
        before = _hash_of(draft, writing.known)
        existing, decision = _edit(draft, decide)
        if not decision.fields:
            return Written(path=file, before=before, after=before, left=decision.left)
        _check_fields(draft, decision.fields)
        dress(draft, writing.manners)
        # The disk and both processors work at the same time.
        with ThreadPoolExecutor(2) as pool:
            flushing, hashing = pool.submit(flush, draft), pool.submit(_hash, draft.copy)
            recipe = write_recipe(file, draft.copy)
            flushing.result()
        written = Written(
            path=file,
            before=before,
            after=hashing.result(),
            fields=decision.fields,
            previous={name: existing.get(name, ()) for name in decision.fields},
            left=decision.left,
            notes=tuple(draft.notes),
            recipe=recipe,
        )
        _exchange(draft, lambda: record(written))
    return written


def restore_exactly(writing: Writing, written: Written) -> None:
    """Put the very file back that ``written`` replaced; it must stand as it was written.

    Raises:
        UsageError: the recipe does not lead back; nothing was changed.
        PlacementError: the file may not be replaced.
        TransientError: the disk is full or gone, or the file is being written; nothing was changed.
    """
    file = real_file(writing.path)
    check_replaceable(file, writing.manners)
    with draft_of(file, writing.mark, is_filled=False) as draft:
        try:
            with draft.copy.open("wb") as target:
                found = follow_recipe(written.recipe, file, target)
        except RecipeError as error:
            raise UsageError(f"{show_path(file)} cannot be put back exactly: {error}", remedy="add --force") from error
        if found != written.before:
            raise UsageError(f"{show_path(file)} cannot be put back exactly", remedy="add --force")
        dress(draft, writing.manners)
        flush(draft)
        _exchange(draft)


def restore_fields(writing: Writing, fields: Mapping[str, tuple[str, ...]]) -> None:
    """Set fields to what they were, and leave every other change of the file alone.

    Raises:
        SourceError: the file is broken.
        PlacementError: it may not be replaced.
        TransientError: the disk is full or gone, or the file is being written; nothing was changed.
    """
    file = real_file(writing.path)
    check_replaceable(file, writing.manners)
    with draft_of(file, writing.mark) as draft:
        edit_labels(draft.copy, lambda _existing: fields)
        dress(draft, writing.manners)
        flush(draft)
        _exchange(draft)


def _exchange(draft: Draft, check: Callable[[], None] = lambda: None) -> None:
    try:
        replace_with(draft, check)
    except OSError as error:
        raise write_error(draft.file, error) from error


def _hash_of(draft: Draft, known: Source | None) -> str:
    """Return the hash of what was copied: known already where the file is the very one that was looked at."""
    status = draft.status
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if known is not None and identity == (known.device, known.inode, known.size, known.mtime_ns):
        return known.content
    return _hash(draft.copy)


def _hash(path: Path) -> str:
    """Return the SHA-256 of a file; one buffer serves the whole of it."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _edit(draft: Draft, decide: Decide) -> tuple[Mapping[str, tuple[str, ...]], Decision]:
    """Write what is chosen into the copy; return the fields it had, and the choice."""
    found: list[tuple[Mapping[str, tuple[str, ...]], Decision]] = []

    def choose(existing: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        found.append((existing, decide(existing)))
        return found[0][1].fields

    edit_labels(draft.copy, choose)
    return found[0]


def _check_fields(draft: Draft, fields: Mapping[str, tuple[str, ...]]) -> None:
    """Read back what was written; a file that does not hold it must not take the place of one that was whole."""
    found = read_fields(draft.copy, fields)
    wrong = [name for name, values in fields.items() if split_joined(found.get(name, ())) != split_joined(values)]
    if wrong:
        raise SourceError(f"{show_path(draft.file)} does not keep the field {wrong[0]}; it was left as it was")
