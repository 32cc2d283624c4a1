"""Stems go where their song goes, never over anything that stands there; the core is told, so that jobs follow."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from plugin_core import STEMS_SUFFIX
from plugin_core.errors import StembridgeError
from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import copy_tree
from plugin_core.model import Job, JobState, show_path
from plugin_core.session import Session
from stembridge_beets.host import UserError
from stembridge_beets.places import Claims, StemsPlace, read_place, write_place
from stembridge_beets.tasks import path_of

if TYPE_CHECKING:
    from beets.library import Item

    from plugin_core.settings import Settings


_PATIENCE: Final = 2.0
"""Seconds that a job store in use is waited for: a song that is told of too late is found once its job goes on."""


class Teller:
    """Tells the core of moves; opens its job store once, and only where there is one.

    Args:
        log: where to tell what hinders it.
        settings: gives the core's settings.
    """

    def __init__(self, log: Any, settings: Callable[[], Settings]) -> None:
        self._log = log
        self._settings = settings
        self._session: Session | None = None
        self._is_hindered = False

    def tell(self, old: Path, new: Path) -> None:
        """Let jobs follow what was moved; whatever hinders this hinders nothing else, and is said once."""
        self._do(old, lambda session: session.moved(old, new))

    def carry(self, moves: Sequence[tuple[Path, Path]]) -> None:
        """Let session files that were copied name the song and the stems beside them."""
        self._do(moves[0][0], lambda session: session.carry(moves))

    def _do(self, old: Path, work: Callable[[Session], object]) -> None:
        if self._is_hindered:
            return
        try:
            work(self._open())
        except (StembridgeError, UserError) as error:
            self._is_hindered = True
            self._log.warning("jobs of {} go on with `beet stembridge resume` only: {}", show_path(old), error)

    def _open(self) -> Session:
        if self._session is None:
            # Nobody is asked for anything but the session files that go along.
            self._session = Session(self._settings(), patience=_PATIENCE)
            atexit.register(self._session.close)
        return self._session


_LAST: Final = 9999

Notes = Callable[[], HiddenNotes]
Tell = Callable[[Path, Path], None]
"""Hear that a stem, or a folder of stems, was moved from one path to another."""
Carry = Callable[[Sequence[tuple[Path, Path]]], None]
"""Hear where copies of a song, its stems and their folder lie."""


class MovedSong(msgspec.Struct, frozen=True):
    """A song's old and new file."""

    old: Path
    new: Path

    def rename(self, name: str) -> str:
        """Return the name of a file or folder that begins with the song's old name, with its new one."""
        rest = name.removeprefix(self.old.stem)
        return self.new.stem + rest if rest != name and not rest[:1].isalnum() else name


class Follower:
    """Brings stems after their songs.

    Args:
        log: where to tell what hinders it.
        notes: gives what knows of hidden copies.
        tell: hears where stems have gone.
        carry: hears where copies of them lie.
    """

    def __init__(
        self,
        log: Any,
        notes: Notes,
        tell: Tell = lambda _old, _new: None,
        carry: Carry = lambda _moves: None,
    ) -> None:
        self._log = log
        self._notes = notes
        self._tell = tell
        self._carry = carry
        self._claims: Claims | None = None

    def follow(self, item: Item, source: bytes, destination: bytes, how: str) -> None:
        """Bring a song's stems after it, and remember where they are.

        Whatever hinders this is told and hinders nothing else. The item is stored by beets, with its new path.

        Args:
            item: the song, which still has its old path.
            source: the song's old file.
            destination: its new file.
            how: move, copy, link or hardlink.
        """
        song = MovedSong(Path(os.fsdecode(source)), Path(os.fsdecode(destination)))
        place = read_place(item) or self._find_beside(song.old, item)
        if place is None or song.old == song.new or not place.folder.is_dir():
            return
        if place.folder.parent != song.old.parent and place.folder != song.old.parent:
            # The user had them placed elsewhere; there they stay.
            return
        is_own = place.folder != song.old.parent
        tell: Tell = self._tell if how == "move" else lambda _old, _new: None
        try:
            moved = (
                _bring_folder(place, song, how, self._notes, tell) if is_own else _bring_files(place, song, how, tell)
            )
        except (UserError, StembridgeError) as error:
            self._log.warning("stems stay in {}: {}", show_path(place.folder), error)
            return
        except OSError as error:
            self._log.warning("stems stay in {}: {}", show_path(place.folder), error.strerror or error)
            return
        if moved is not None:
            write_place(item, moved)
        if moved is not None and how != "move" and len(moved.files) == len(place.files):
            files = zip(place.files, moved.files, strict=True)
            self._carry([(song.old, song.new), *files, (place.folder, moved.folder)])

    def _find_beside(self, song: Path, item: Item) -> StemsPlace | None:
        if item._db is None:
            return find_beside(song)
        if self._claims is None or self._claims.lib is not item._db:
            self._claims = Claims(item._db)
        return find_unclaimed(song, item, self._claims)


def find_left(item: Item, place: StemsPlace, job: Job) -> Path | None:
    """Return where a song was when stems were put beside it, if it has gone on from there without them.

    Where this plugin was off, nobody brought them along.

    Args:
        item: a song with stems that stand.
        place: where they stand.
        job: that made them.
    """
    if job.state is not JobState.DONE or not job.stems or os.path.lexists(job.source.path):
        return None
    song = MovedSong(job.source.path, path_of(item))
    if place.folder in (song.new.parent, song.new.parent / song.rename(place.folder.name)):
        return None
    return song.old if song.old.parent in (place.folder, place.folder.parent) else None


def find_unclaimed(song: Path, item: Item, claims: Claims) -> StemsPlace | None:
    """Return stems beside a song, unless they are those of another: ``One.mp3`` next to ``One.flac``."""
    place = find_beside(song)
    return None if place is None or claims.is_claimed(place.folder, but=item.id) else place


def find_beside(song: Path) -> StemsPlace | None:
    """Return the stems that stand beside a song the library knows nothing of yet; None when it has none."""
    folder = song.with_name(song.stem + STEMS_SUFFIX)
    if not folder.is_dir():
        return None
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return StemsPlace(folder, tuple(files)) if files else None


def _bring_folder(place: StemsPlace, song: MovedSong, how: str, notes: Notes, tell: Tell) -> StemsPlace:
    wanted = song.new.parent / song.rename(place.folder.name)
    stays = how == "move" and wanted == place.folder
    target = wanted if stays else _free(wanted)
    if how == "move" and not stays:
        _move_folder(place.folder, target, notes)
        tell(place.folder, target)
    elif not stays:
        with _hidden_beside(target, notes) as hidden:
            copy_tree(place.folder, hidden, _HOW[how])
            hidden.rename(target)
    files = []
    for file in place.files:
        there = target / file.relative_to(place.folder)
        renamed = there.with_name(song.rename(there.name))
        if there != renamed and there.exists() and not os.path.lexists(renamed):
            there.rename(renamed)
            tell(there, renamed)
            there = renamed
        files.append(there)
    return StemsPlace(target, tuple(files))


def _move_folder(folder: Path, target: Path, notes: Notes) -> None:
    try:
        folder.rename(target)
    except OSError:
        # Another file system: whole and under its name before the old one goes.
        with _hidden_beside(target, notes) as hidden:
            copy_tree(folder, hidden)
            hidden.rename(target)
        shutil.rmtree(folder)


def _bring_files(place: StemsPlace, song: MovedSong, how: str, tell: Tell) -> StemsPlace | None:
    """Bring stems that lie in the song's own folder, among others."""
    pairs = [(file, song.new.parent / song.rename(file.name)) for file in place.files if file.exists()]
    if all(old == new for old, new in pairs):
        return None
    pairs = [(old, new if old == new else _free(new)) for old, new in pairs]
    for old, new in pairs:
        if old != new:
            _HOW[how](str(old), str(new))
            tell(old, new)
    return StemsPlace(song.new.parent, tuple(new for _, new in pairs))


@contextlib.contextmanager
def _hidden_beside(target: Path, notes: Notes) -> Iterator[Path]:
    hidden = target.with_name(f"{HIDDEN_PREFIX}{secrets.token_hex(6)}")
    with notes().noted(hidden):
        try:
            yield hidden
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise


def _free(path: Path) -> Path:
    """Return the path, or the first numbered neighbour of it that nothing stands at."""
    ending = STEMS_SUFFIX if path.name.endswith(STEMS_SUFFIX) else path.suffix
    stem = path.name.removesuffix(ending)
    for number in range(1, _LAST):
        free = path if number == 1 else path.with_name(f"{stem} ({number}){ending}")
        if not os.path.lexists(free):
            return free
    raise FileExistsError(f"{show_path(path)} and all its neighbours are taken")


def _link(source: str, target: str) -> str:
    Path(target).symlink_to(source)
    return target


def _hardlink(source: str, target: str) -> str:
    os.link(source, target)
    return target


_HOW: Final[dict[str, Callable[[str, str], Any]]] = {
    "move": shutil.move,
    "copy": shutil.copy2,
    "link": _link,
    "hardlink": _hardlink,
}
