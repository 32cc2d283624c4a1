"""Putting finished stems where they belong: all at once, never over anything of the user's, and again after a crash.

The target is chosen and recorded first (``choose_target``), then the stems are renamed to it (``publish``), each step
safe to be the last before a crash. A folder of the source's own is renamed as a whole; stems in a shared folder one by
one, under one common number. Where something stands in the way the next number is taken, unless it is the untouched
result of the same operation, which is swapped.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import PlacementError, ResultError, StembridgeError
from plugin_core.files.checksum import Record, is_unmodified, record_bytes
from plugin_core.files.names import fold, fold_all
from plugin_core.files.placement import (
    adopt_group,
    copy_file,
    explain_os_error,
    rename_exclusive,
    sync_folder,
    write_durably,
)
from plugin_core.model import Stem, show_path
from plugin_core.stems.layout import LAST_NUMBER, Layout, holds_only, record_of, relative_records
from plugin_core.stems.staging_folder import hidden_neighbour, make_staging, remove_staging

ASIDE: Final = "aside"
"""Folder in staging for the earlier result, under its path below the destination, until the new one is in place."""

_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY})
"""What the system says of an earlier result that it will not let go."""

_log = logging.getLogger(__name__)


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is placed with stems and speaks of them; where it and they stand goes into it."""

    name: str
    label: str
    file: str
    """Its name."""
    render: Callable[[Path, Sequence[Path]], bytes]
    """Return its bytes, by its own place and those of the stems; the same for the same places."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in its place."""

    stems: tuple[Stem, ...]
    projects: tuple[Stem, ...] = ()
    """Companions."""
    notes: tuple[str, ...] = ()


class Publication(msgspec.Struct, frozen=True):
    """Staged stems on their way to a destination.

    The layout is that of the stems, and of their companions after them.
    """

    layout: Layout
    stems: tuple[Stem, ...]
    destination: Path
    staging: Path
    earlier: tuple[Stem, ...] = ()
    companions: tuple[Companion, ...] = ()

    def run(self, first: int) -> Published:
        """Place everything under the first number from ``first`` on that nobody else has."""
        place = self._place_folder if self.layout.depth else self._place_files
        begun = self.layout.find_begun(self.destination, self.stems, first)
        number = first if begun is None else begun
        while not place(number, places := self.layout.files_at(self.destination, number)):
            number += 1
            if number > LAST_NUMBER:
                raise PlacementError(f"{show_path(self.destination)} is full of results of this name")
        stems = tuple(msgspec.structs.replace(stem, path=path) for stem, path in zip(self.stems, places, strict=False))
        published = complete(stems, self.companions, places[len(stems) :], self.staging)
        self._clean()
        return published

    def _write_companions(self, places: Sequence[Path]) -> list[Record]:
        """Write the companions beside the staged stems, as they are to be in these places."""
        count, records = len(self.stems), []
        for one, name, place in zip(self.companions, self.layout.paths[count:], places[count:], strict=True):
            data, draft = one.render(place, places[:count]), self.layout.root / name
            draft.parent.mkdir(parents=True, exist_ok=True)
            write_durably(draft, data)
            records.append(record_bytes(data))
        return records

    def _place_folder(self, number: int, places: Sequence[Path]) -> bool:
        source = self.layout.root / self.layout.unit
        place = self.layout.unit_at(self.destination, number)
        if all(map(is_unmodified, places, map(record_of, self.stems))):
            return True
        self._require(source)
        self._write_companions(places)
        place.parent.mkdir(parents=True, exist_ok=True)
        records = relative_records(self.earlier, place)
        if holds_only(place, records):
            aside = self._set_aside(place)
            if aside is None:
                return False
            if not holds_only(aside, records):
                # Somebody changed it at the last moment: it is the user's now.
                rename_exclusive(aside, place)
                return False
        return _move(source, place, self.staging)

    def _place_files(self, _number: int, places: Sequence[Path]) -> bool:
        # The newest comes first, and only the newest can be what stands there.
        records = {stem.path: record_of(stem) for stem in reversed(self.earlier)}
        wanted = [*map(record_of, self.stems), *self._write_companions(places)]
        beside = self.layout.paths[len(self.stems) :]
        moved: list[tuple[Path, Path]] = []
        try:
            for record, name, place in zip(wanted, self.layout.paths, places, strict=True):
                source = self.layout.root / name
                if is_unmodified(place, record):
                    if name in beside:
                        # It may be that of an earlier result, which is the same.
                        continue
                elif not self._place_file(source, place, records.get(place)):
                    self._take_back(moved)
                    return False
                moved.append((source, place))
        except (OSError, StembridgeError):
            self._take_back_leniently(moved)
            raise
        return True

    def _place_file(self, source: Path, place: Path, record: Record | None) -> bool:
        self._require(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        return self._clear(place, record) and _move(source, place, self.staging)

    def _clear(self, place: Path, record: Record | None) -> bool:
        """Set an earlier result aside; False when it was changed meanwhile. Anything else is left to the move."""
        if not is_unmodified(place, record):
            return True
        aside = self._set_aside(place)
        if aside is None or is_unmodified(aside, record):
            return aside is not None
        rename_exclusive(aside, place)
        return False

    def _take_back(self, moved: list[tuple[Path, Path]]) -> None:
        """Clear a number that could not be had for the whole set."""
        for source, place in moved:
            # Where the source still stands the file was copied across devices.
            if source.exists():
                place.unlink()
            else:
                rename_exclusive(place, source)
        restore_aside(self.staging, self.destination)

    def _take_back_leniently(self, moved: list[tuple[Path, Path]]) -> None:
        """Clear a number after a failure; what cannot be moved now is found in its place by the next try."""
        try:
            self._take_back(moved)
        except OSError as error:
            _log.warning("some stems stay in %s for now: %s", show_path(self.destination), error)

    def _set_aside(self, place: Path) -> Path | None:
        """Move an earlier result into staging; None when the system does not let it go, and nothing was changed."""
        name = place.relative_to(self.destination)
        for folder in (self.staging, hidden_neighbour(self.staging, self.destination)):
            make_staging(folder)
            aside = folder / ASIDE / name
            aside.parent.mkdir(parents=True, exist_ok=True)
            try:
                rename_exclusive(place, aside)
            except OSError as error:
                if error.errno in _NOT_OURS:
                    return None
                if error.errno != errno.EXDEV or aside.is_relative_to(self.destination):
                    raise
                continue
            sync_folder(aside.parent)
            return aside
        raise AssertionError("the second folder lies on the device of the place")

    def _require(self, source: Path) -> None:
        if not source.exists():
            raise ResultError(
                f"the finished {show_path(Path(source.name))} is neither in staging nor in its place",
                remedy="retry the job",
            )

    def _clean(self) -> None:
        """Remove what an earlier result and copies across devices left."""
        shutil.rmtree(self.staging / ASIDE, ignore_errors=True)
        for hidden in hidden_folders(self.layout, self.destination, self.staging) - {self.staging}:
            remove_staging(hidden)


def complete(
    stems: tuple[Stem, ...], companions: Sequence[Companion], places: Sequence[Path], staging: Path
) -> Published:
    """Put companions beside stems that stand, unless they are there; what is not as it would be made is left alone.

    Args:
        stems: in their places.
        companions: of theirs.
        places: of the companions.
        staging: the job's private folder.
    """
    projects, notes = [], []
    for one, place in zip(companions, places, strict=True):
        data = one.render(place, [stem.path for stem in stems])
        record = record_bytes(data)
        if is_unmodified(place, record) or _put(data, place, staging / one.file):
            projects.append(Stem(name=one.name, label=one.label, path=place, size=record.size, sha256=record.sha256))
        else:
            notes.append(f"{show_path(Path(place.name))} is there and not as it would be made: it stays as it is")
    return Published(stems=stems, projects=tuple(projects), notes=tuple(notes))


def _put(data: bytes, place: Path, draft: Path) -> bool:
    """Put a small file in place by way of staging; False when the name is taken."""
    make_staging(draft.parent)
    write_durably(draft, data)
    is_placed = _move(draft, place, draft.parent)
    draft.unlink(missing_ok=True)
    return is_placed


def _move(source: Path, place: Path, staging: Path) -> bool:
    """Rename what is staged; False when the name is taken."""
    try:
        adopt_group(source, place.parent)
        rename_exclusive(source, place)
    except FileExistsError:
        return False
    except OSError as error:
        near = hidden_neighbour(staging, place.parent)
        if error.errno != errno.EXDEV or near == staging:
            raise
        if not _move_across(source, place, near):
            return False
    sync_folder(place.parent)
    return True


def hidden_folders(layout: Layout, destination: Path, staging: Path) -> set[Path]:
    """Return every folder beside a result that its job may have made to cross a device."""
    inside = {layout.unit.parent, *(path.parent for path in layout.paths)}
    return {hidden_neighbour(staging, folder) for folder in {destination, *(destination / one for one in inside)}}


def restore_aside(staging: Path, destination: Path) -> None:
    """Put an earlier result back that was set aside for one that never came; never over anything."""
    for folder in (staging / ASIDE, hidden_neighbour(staging, destination) / ASIDE):
        for path in sorted(folder.rglob("*")):
            place = destination / path.relative_to(folder)
            # What lies in a folder went back with it.
            if not os.path.lexists(path) or os.path.lexists(place):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            rename_exclusive(path, place)


def _move_across(source: Path, place: Path, near: Path) -> bool:
    """Copy to a hidden folder beside the place first, so that it too appears whole and at once."""
    make_staging(near)
    copy = near / "copy" / source.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    copy.parent.mkdir()
    _copy_whole(source, copy)
    try:
        rename_exclusive(copy, place)
    except FileExistsError:
        return False
    return True


def _copy_whole(source: Path, copy: Path) -> None:
    if not source.is_dir():
        copy_file(source, copy)
        return
    copy.mkdir()
    for child in source.iterdir():
        _copy_whole(child, copy / child.name)
    sync_folder(copy)


def choose_target(
    layout: Layout, destination: Path, earlier: Sequence[Stem] = (), *, stems: Sequence[Stem] = ()
) -> Path:
    """Choose where staged stems go; nothing is created.

    Args:
        layout: the staged stems, and their companions.
        destination: folder to place them under.
        earlier: what earlier jobs of the same operation on this source placed, which may be swapped.
        stems: the staged stems, if some may stand in their place since an earlier try.

    Raises:
        PlacementError: ten thousand neighbours are there already.
    """
    begun = layout.find_begun(destination, stems) if stems else None
    if begun is not None:
        return layout.unit_at(destination, begun)
    for number in range(1, LAST_NUMBER + 1):
        unit = layout.unit_at(destination, number)
        if layout.depth:
            if not is_taken(unit) or holds_only(unit, relative_records(earlier, unit)):
                return unit
        elif all(not is_taken(place) or _is_earlier(place, earlier) for place in layout.files_at(destination, number)):
            return unit
    raise PlacementError(f"{show_path(destination)} is full of results of this name", remedy="tidy it up")


def publish(
    layout: Layout,
    stems: Sequence[Stem],
    target: Path,
    staging: Path,
    earlier: Sequence[Stem] = (),
    companions: Sequence[Companion] = (),
) -> Published:
    """Rename staged stems to their target, and their companions with them; done already counts as done.

    When somebody took the target since it was chosen, the next free number is used.

    Args:
        layout: as it was when the target was chosen, with the companions' paths after the stems'.
        stems: the staged stems, with what was recorded of them.
        target: from ``choose_target``.
        staging: the job's private folder.
        earlier: as given to ``choose_target``.
        companions: as they are to be.

    Whatever fails, an earlier result that was set aside is put back.

    Raises:
        PlacementError: the target cannot be written.
        ResultError: the stems are neither in staging nor in place.
        TransientError: the disk is full or away.
    """
    destination, number = layout.locate(target)
    publication = Publication(layout, tuple(stems), destination, staging, tuple(earlier), tuple(companions))
    try:
        return publication.run(number)
    except OSError as error:
        _restore(staging, destination)
        raise explain_os_error(error, target) from error
    except StembridgeError:
        _restore(staging, destination)
        raise


def _restore(staging: Path, destination: Path) -> None:
    try:
        restore_aside(staging, destination)
    except OSError as error:
        # Still whole in staging: put back with the next try, or when the job is given up.
        _log.warning("an earlier result stays in %s for now: %s", show_path(staging), error)


def is_taken(path: Path) -> bool:
    """Tell whether a name is in use, also by one that differs in case or normal form alone."""
    if os.path.lexists(path):
        return True
    try:
        with os.scandir(path.parent) as entries:
            return fold(path.name) in fold_all([entry.name for entry in entries])
    except OSError:
        return False


def _is_earlier(place: Path, earlier: Sequence[Stem]) -> bool:
    return any(stem.path == place and is_unmodified(place, record_of(stem)) for stem in earlier)
