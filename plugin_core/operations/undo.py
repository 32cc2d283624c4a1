"""Taking labels out of a song again: the very file that was there before, or only what was written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.audio.probe import identify
from plugin_core.errors import SourceError, StembridgeError, UsageError
from plugin_core.files.checksum import hash_file
from plugin_core.model import Job, Source, Written, show_path
from plugin_core.tags.exchange import ReplaceOptions, real_file
from plugin_core.tags.labels import PROVENANCE, job_named_in
from plugin_core.tags.reader import read_labels
from plugin_core.tags.tagger import Writing, restore_exactly, restore_fields

if TYPE_CHECKING:
    from plugin_core.audio.info import AudioInfo
    from plugin_core.files.hidden import HiddenNotes
    from plugin_core.jobs.store import JobStore
    from plugin_core.model import Written


Values = tuple[str, ...]
_BETWEEN: Final = re.compile(r"\s*[/;]\s*")


@dataclass(frozen=True)
class TakenBack:
    """What is to be done about one change."""

    fields: dict[str, Values] = field(default_factory=dict)
    """What its fields are to be; only those that change."""
    kept: tuple[str, ...] = ()
    """The fields that hold nothing of ours any more, nor what stood there before."""


def take_back(found: Mapping[str, Values], written: Written, forced: Collection[str] = ()) -> TakenBack:
    """Find out how to take back what was written.

    Args:
        found: the fields as they are.
        written: what was written, and what stood there before.
        forced: the fields that are put back as well where somebody changed them since.
    """
    fields: dict[str, Values] = {}
    kept = []
    for name, ours in written.fields.items():
        here, before = found.get(name, ()), written.previous.get(name, ())
        if here == before:
            continue
        values = before if name in forced else without(here, ours, before)
        if values is None:
            kept.append(name)
        else:
            fields[name] = values
    return TakenBack(fields, tuple(kept))


def take_apart(found: Mapping[str, Values], changes: Iterable[Written]) -> dict[str, Values]:
    """Return fields with what we wrote told apart where it stands joined with other values, as in ID3 before v2.4.

    Args:
        found: the fields as they stand.
        changes: of one file.
    """
    known: dict[str, set[str]] = {}
    for one in changes:
        for name, values in (*one.fields.items(), *one.previous.items()):
            known.setdefault(name, set()).update(values)
    return {
        name: tuple(part for value in values for part in _parts(value, known.get(name, set())))
        for name, values in found.items()
    }


def _parts(text: str, known: Collection[str]) -> Iterator[str]:
    """Give the parts of a text; one that holds nothing we know is one part, whatever stands in it."""
    parts, rest, is_ours = [], text, False
    while rest:
        starts = (one for one in known if rest.startswith(one))
        whole = [one for one in starts if len(one) == len(rest) or _BETWEEN.match(rest, len(one))]
        between = _BETWEEN.search(rest)
        part = max(whole, key=len, default=rest[: between.start()] if between else rest)
        is_ours = is_ours or bool(whole)
        parts.append(part)
        rest = _BETWEEN.sub("", rest[len(part) :], count=1)
    yield from parts if is_ours else (text,)


def find_strange(found: Mapping[str, Values], changes: Iterable[Written]) -> tuple[str, ...]:
    """Return the fields that are not what they were before all changes.

    Args:
        found: the fields as they are.
        changes: of one file, the last one first.
    """
    first = {name: one.previous.get(name, ()) for one in changes for name in one.fields}
    return tuple(name for name, before in first.items() if found.get(name, ()) != before)


def without(here: Values, ours: Values, before: Values) -> Values | None:
    """Return a field's values without what we wrote and with what we replaced; None where ours are gone.

    Args:
        here: the values now.
        ours: all values as we wrote them.
        before: all values as they were.
    """
    added = [value for value in ours if value not in before]
    if here == ours:
        return before
    if not added or not set(added) <= set(here):
        return None
    replaced = [value for value in before if value not in ours]
    return tuple(dict.fromkeys((*replaced, *(value for value in here if value not in added))))


Fields = Mapping[str, tuple[str, ...]]
Change = tuple[Job, Written]


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What was put back."""

    path: Path
    job: str
    """Whose labels were taken out."""
    fields: dict[str, tuple[str, ...]]
    """What stands in its fields now; empty where nothing does."""
    exact: bool
    """Whether the whole file is what it was, byte for byte."""
    kept: tuple[str, ...] = ()
    """The fields that somebody changed since, and that stay."""


def undo(
    path: Path,
    store: JobStore,
    options: ReplaceOptions,
    *,
    mark: str,
    notes: HiddenNotes | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Undone:
    """Take back what was written into a song when it was labelled last, wherever the song has been moved to.

    A file that nobody touched since becomes byte for byte what it was. Whatever else was changed since stays: other
    fields, labels that somebody replaced, values that somebody added. Once more takes back the tagging before.

    Args:
        path: the song.
        store: the job store, which knows what was written.
        options: how files are replaced.
        mark: unique to this call, for the name of the copy.
        notes: know of the copy while it is there; what a killed call left goes first.
        force: whether fields that were changed since are put back as well.
        dry_run: whether to only say what would be done.

    Raises:
        SourceError: nothing is known of labels in this file, or it cannot be read.
        UsageError: all labels were changed since, and ``force`` is not set.
        PlacementError: the file may not be replaced.
        TransientError: the disk is full or gone, or the file is being written.
    """
    file = real_file(path)
    if notes is not None and not dry_run:
        notes.sweep()
    content = hash_file(file).sha256
    writing = Writing(file, mark, options, notes=notes)
    same = _find_same(store, file, content)
    if same is not None and same[1].recipe:
        if not dry_run:
            restore_exactly(writing, same[1])
        return Undone(path=file, job=same[0].id, fields=same[1].previous, exact=True)
    changes = [same] if same is not None else _changes_of(store, file)
    names = dict.fromkeys(name for _, written in changes for name in written.fields)
    found = take_apart(read_labels(file, names), [written for _, written in changes])
    (job, written), taken = _choose(file, changes, found, force=force)
    if not dry_run:
        restore_fields(writing, taken.fields, written)
    return Undone(path=file, job=job.id, fields=taken.fields, exact=False, kept=taken.kept)


def _choose(file: Path, changes: list[Change], found: Fields, *, force: bool) -> tuple[Change, TakenBack]:
    """Return the last change of which something is left, and what to do about it; those before stay for the next time.

    Raises:
        SourceError: nothing was ever written, or all of it is taken back.
        UsageError: nothing is left of what was written but what somebody changed.
    """
    if not changes:
        raise SourceError(
            f"no labels by stembridge are known in {show_path(file)}",
            remedy="it was never labelled here, or its job was forgotten (stembridge jobs prune)",
        )
    strange = find_strange(found, [written for _, written in changes])
    for change in changes:
        taken = take_back(found, change[1], strange if force else ())
        if taken.fields:
            return change, taken
    raise _changed_since(file, strange) if strange else _undone_already(file)


def _find_same(store: JobStore, file: Path, content: str) -> Change | None:
    """Find who left exactly this file: two songs that differed in their labels alone can have become the same."""
    changes = list(_real(store.written_as(content)))
    here = [change for change in changes if change[1].path == file]
    moved = [change for change in changes if not change[1].path.exists()]
    return next(iter((*here, *moved, *changes)), None)


def _changes_of(store: JobStore, file: Path) -> list[Change]:
    """Find who labelled a file that was changed since, the last one first.

    It is where it was, or says so itself, or sounds as a file that is gone from where it was.
    """
    provenance = read_labels(file, (PROVENANCE,)).get(PROVENANCE, ())
    named = store.find(job_named_in("".join(provenance[:1])))
    changes = list(_real([*filter(None, [named]), *store.written_at(file)]))
    if named is not None and named.written is not None and named.written.path != file:
        changes += _real(store.written_at(named.written.path))
    known = None if changes else store.recordings.find(file)
    if known is not None:
        changes += [change for change in _real(store.written_of(known.recording)) if not change[1].path.exists()]
    shape = _shape(identify(file)) if changes else ()
    # Another song can have come to the place.
    mine = {job.id: (job, written) for job, written in changes if _shape(job.source) == shape}
    return sorted(mine.values(), key=lambda change: (change[0].updated, change[0].id), reverse=True)


def _shape(song: Source | AudioInfo) -> tuple[object, ...]:
    return song.duration, song.frames, song.channels, song.sample_rate, song.encoding


def _real(jobs: list[Job]) -> Iterator[Change]:
    return ((job, job.written) for job in jobs if job.written is not None and job.written.before != job.written.after)


def _undone_already(file: Path) -> StembridgeError:
    return SourceError(f"the labels in {show_path(file)} are undone already")


def _changed_since(file: Path, names: tuple[str, ...]) -> StembridgeError:
    return UsageError(
        f"{', '.join(names)} of {show_path(file)} changed since stembridge wrote it",
        remedy="--force puts back what stood there before",
    )
