"""Writing labels into a song and taking them out again, each as one exchange of the whole file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from plugin_core.errors import TransientError, UsageError
from plugin_core.files.checksum import hash_file
from plugin_core.files.disk import Free, free_bytes
from plugin_core.model import Source, Written, show_path
from plugin_core.tags.exchange import (
    Draft,
    ReplaceOptions,
    check_replaceable,
    draft_of,
    dress,
    flush,
    real_file,
    replace_with,
    require_same,
)
from plugin_core.tags.files import write_error
from plugin_core.tags.labels import Decision
from plugin_core.tags.pieces import Piece, PieceError, digest, lay, read_recipe, write_recipe
from plugin_core.tags.writer import LABELS, Back, Rewriting, Style, rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_core.files.hidden import HiddenNotes

Decide = Callable[[Mapping[str, tuple[str, ...]]], Decision]
"""Choose what to write, from the fields of the file as it is."""
Record = Callable[[Written], None]
"""Make what is about to be done durable, before it is done."""
ROOM: Final = 1 << 20
"""Bytes a copy may take more than its file, and the file system for itself."""
_TRIAL: Final = "stembridge"


@dataclass(frozen=True)
class Writing:
    """One change of one file."""

    path: Path
    mark: str
    """Unique to this attempt, for the name of the copy."""
    options: ReplaceOptions = field(default_factory=ReplaceOptions)
    known: Source | None = None
    """The file as it was looked at; spares reading it once more where it is the same."""
    notes: HiddenNotes | None = None
    """Know of the copy while it is there."""
    names: tuple[str, ...] = LABELS
    """The fields that are read."""


def check_taggable(path: Path, options: ReplaceOptions, *, free: Free = free_bytes) -> None:
    """Make sure that a file can be given tags, before anything is spent: go through all of it but the writing.

    Args:
        path: the file.
        options: how it would be replaced.
        free: tells the room on a disk.

    Raises:
        SourceError: it is gone, broken, or of a kind without tags.
        PlacementError: it may not be replaced.
        TransientError: there is no room for the copy.
    """
    file = real_file(path)
    status = check_replaceable(file, options)
    rewrite(file, lambda existing: {name: (*existing.get(name, ()), _TRIAL) for name in LABELS})
    if free(file.parent) < status.st_size + ROOM:
        raise TransientError(
            f"there is no room for a copy of {show_path(file)} beside it, and a song gets its tags in a copy",
            remedy="make room on the disk",
        )


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
    check_replaceable(file, writing.options)
    with draft_of(file, writing.mark, writing.notes) as draft:
        rewriting, decision = _choose(file, decide, writing)
        if not decision.fields:
            before = _hash_of(draft, writing.known)
            require_same(draft)
            return Written(path=file, before=before, after=before, left=decision.left)
        made = _make(draft, rewriting.pieces, writing)
        written = Written(
            path=file,
            before=made.before,
            after=made.after,
            fields=decision.fields,
            previous={name: rewriting.existing.get(name, ()) for name in decision.fields},
            keys={name: dict(held) for name, held in rewriting.keys.items()},
            left=decision.left,
            notes=tuple(draft.notes),
            recipe=made.recipe,
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
    check_replaceable(file, writing.options)
    with draft_of(file, writing.mark, writing.notes) as draft:
        try:
            pieces = read_recipe(written.recipe)
            with ThreadPoolExecutor(1) as pool:
                hashing = pool.submit(digest, pieces, file)
                _lay(draft, pieces, writing)
            found = hashing.result()
        except PieceError as error:
            raise UsageError(f"{show_path(file)} cannot be put back exactly: {error}", remedy="add --force") from error
        if found != written.before:
            raise UsageError(f"{show_path(file)} cannot be put back exactly", remedy="add --force")
        _exchange(draft)


def restore_fields(writing: Writing, fields: Mapping[str, tuple[str, ...]], written: Written) -> None:
    """Set fields to what they were, and leave every other change of the file alone.

    Args:
        writing: the file.
        fields: what its fields are to be.
        written: says what each key of each tag held, for those that become what they were.

    Raises:
        SourceError: the file is broken.
        PlacementError: it may not be replaced.
        TransientError: the disk is full or gone, or the file is being written; nothing was changed.
    """
    file = real_file(writing.path)
    check_replaceable(file, writing.options)
    with draft_of(file, writing.mark, writing.notes) as draft:
        back = Back({name: _keys_back(written, name, values) for name, values in fields.items()}, written.fields)
        rewriting = rewrite(file, lambda _existing: fields, tuple(fields), _style_of(writing.options), back)
        _lay(draft, rewriting.pieces, writing)
        _exchange(draft)


def _keys_back(written: Written, name: str, values: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return what single keys of a field become again: all of them, or those beside ID3 where ID3 was changed since."""
    held = written.keys.get(name, {})
    if values == written.previous.get(name, ()):
        return held
    beside = {key: texts for key, texts in held.items() if not key.startswith("id3 ")}
    return beside if len(beside) < len(held) else {}


@dataclass(frozen=True)
class _Made:
    """What is known of a copy."""

    before: str
    after: str
    recipe: bytes


def _make(draft: Draft, pieces: Sequence[Piece], writing: Writing) -> _Made:
    """Fill the copy and find out all about it; one processor reads while the other one and the disk write."""
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(digest, pieces, draft.file)
        _lay(draft, pieces, writing)
        before, recipe = _hash_of(draft, writing.known), write_recipe(pieces, draft.file)
        return _Made(before, hashing.result(), recipe)


def _lay(draft: Draft, pieces: Sequence[Piece], writing: Writing) -> None:
    lay(pieces, draft.file, draft.copy)
    dress(draft, writing.options)
    flush(draft)


def _exchange(draft: Draft, check: Callable[[], None] = lambda: None) -> None:
    try:
        replace_with(draft, check)
    except OSError as error:
        raise write_error(draft.file, error) from error


def _hash_of(draft: Draft, known: Source | None) -> str:
    """Return the hash of the file: known already where it is the very one that was looked at."""
    status = draft.status
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if known is not None and identity == (known.device, known.inode, known.size, known.mtime_ns):
        return known.content
    return hash_file(draft.file).sha256


def _choose(file: Path, decide: Decide, writing: Writing) -> tuple[Rewriting, Decision]:
    """Return what the file would be with what is chosen, and the choice."""
    found: list[Decision] = []

    def choose(existing: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        found.append(decide(existing))
        return found[0].fields

    return rewrite(file, choose, writing.names, _style_of(writing.options)), found[0]


def _style_of(options: ReplaceOptions) -> Style:
    left_out = {"both": (), "TMOO": ("TXXX:MOOD",), "TXXX": ("TMOO",)}[options.mood_frames]
    return Style(options.separator, frozenset(left_out))
