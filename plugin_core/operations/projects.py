"""Session files beside stems: which a song is to have, what goes into them, how they keep up with what is moved."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.audio.formats import AUDIO_SUFFIXES
from plugin_core.errors import PlacementError, SettingsError, StembridgeError, UsageError, blame, suggest
from plugin_core.files.checksum import is_unmodified, record_bytes
from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX, MAX_BYTES, NUMBER_BYTES, clean_component, count_bytes, shorten
from plugin_core.model import Job, Separation, Source, Stem, show_path
from plugin_core.operations.orders import destination_of_wish, wish_of
from plugin_core.operations.song import Moves, move_path, move_results
from plugin_core.operations.stem_tags import read_leniently
from plugin_core.stems.layout import Layout, record_of
from plugin_core.stems.publication import Companion
from plugin_core.wishes import NO_PROJECT, StemsKeys

if TYPE_CHECKING:
    from plugin_core.audio.info import AudioInfo
    from plugin_core.jobs.store import JobStore
    from plugin_core.sessions.arrangement import SessionFormat
    from plugin_core.stems.layout import Template

_log = logging.getLogger(__name__)


def file_names(source: Source, wish: Separation) -> dict[str, str]:
    """Return the names of a song's session files, by format, in the order of the wish."""
    name = clean_component(source.path.stem)
    return {one: f"{shorten(name, MAX_BYTES - NUMBER_BYTES - count_bytes(one) - 1)}.{one}" for one in wish.projects}


class Projects:
    """Knows the session files of jobs.

    Args:
        formats: gives the session formats by name, once one is needed.
        keys: reads the section ``stems``.
        notes: know of a file that is being replaced.
    """

    def __init__(
        self, formats: Callable[[], Mapping[str, SessionFormat]], keys: Callable[[], StemsKeys], notes: HiddenNotes
    ) -> None:
        self._formats = formats
        self._keys = keys
        self._notes = notes

    def fill(self, wish: Separation) -> Separation:
        """Return a wish with the names of its session files as they are looked for later.

        Raises:
            UsageError: nobody makes one of them; SettingsError where the setting says so.
        """
        usual = self._keys().usual_project
        if not wish.project and not usual:
            return wish
        kind, place = (UsageError, "project") if wish.project else (SettingsError, "[stems] project")
        wish = msgspec.structs.replace(wish, project=wish.project or usual)
        if wish.projects and NO_PROJECT in wish.project.lower().replace(" ", "").split(","):
            raise kind(f"{place} {wish.project!r}: {NO_PROJECT} stands alone")
        for name in wish.projects:
            if name not in (known := self._formats()):
                there = f"there are {', '.join(sorted(known))} and {NO_PROJECT}"
                raise kind(f"{place}: no session format {name!r}", remedy=suggest(name, known, there))
        return msgspec.structs.replace(wish, project=",".join(wish.projects) or NO_PROJECT)

    def template(self, wish: Separation) -> Template:
        """Return where the stems of a wish go.

        Raises:
            UsageError: the template is wrong; SettingsError where it is a setting.
        """
        from plugin_core.stems.layout import choose_template

        return choose_template(wish.template, self._keys())

    def places(self, source: Source, wish: Separation, stems: Sequence[Stem]) -> dict[str, Path]:
        """Return where each session file of stems goes that stand: into the folder that holds them all."""
        if not stems or not wish.projects:
            return {}
        from plugin_core.operations.reuse import render_paths

        template, where = self.template(wish), [stem.path for stem in stems]
        folder = Path(os.path.commonpath([path.parent for path in where]))
        number = 1
        if not template.depth:
            # In a folder that is shared with other songs it has the number that the stems have.
            paths = render_paths(stems, source.path, wish, template)
            number = Layout(Path(), 0, tuple(paths)).number_of(destination_of_wish(source, wish), where) or 1
        files = file_names(source, wish)
        names = Layout(folder, 0, tuple(map(Path, files.values()))).files_at(folder, number)
        return dict(zip(files, names, strict=True))

    def missing(self, job: Job, wish: Separation) -> list[str]:
        """Return the session files of a wish that do not stand beside a job's stems; whose they are does not count."""
        known = {one.name for one in job.projects if os.path.lexists(one.path)}
        if known.issuperset(wish.projects):
            return []
        places = self.places(job.source, wish, job.stems)
        return [name for name in wish.projects if name not in known and not os.path.lexists(places[name])]

    def describe(self, job: Job, wish: Separation) -> Job:
        """Return a job whose stems stand as people see it: without record of session files that are the user's own."""
        made = {one.path: one for one in job.projects}
        foreign = [
            Stem(name=name, label="", path=path, size=0, sha256="")
            for name, path in self.places(job.source, wish, job.stems).items()
            if path not in made and os.path.lexists(path)
        ]
        known = [
            one if is_unmodified(one.path, record_of(one)) else msgspec.structs.replace(one, size=0, sha256="")
            for one in job.projects
            if os.path.lexists(one.path)
        ]
        return msgspec.structs.replace(job, projects=(*known, *foreign))

    def companions(
        self, job: Job, wanted: Mapping[str, Path], places: Sequence[Path]
    ) -> tuple[list[Companion], list[str]]:
        """Return the session files that are placed with stems, and what people should know of those that cannot be.

        Args:
            job: whose they are; its staged stems may stand in their places already.
            wanted: where each session file is to go, by the name of its format.
            places: of the stems, as far as is known.
        """
        found, notes = [], []
        session, files = _SessionOf(job, job.staged), file_names(job.source, wish_of(job))
        for name, place in wanted.items():
            file = show_path(Path(place.name))
            try:
                form = self._formats()[name]
                session.render(form, place, places)
            except KeyError:
                notes.append(f"no {file} was made: no plugin makes {name} any more")
            except StembridgeError as error:
                notes.append(f"no {file} was made: {error}")
            else:
                render = partial(session.render, form)
                found.append(Companion(name=name, label=form.title, file=files[name], render=render))
                if name in session.songless:
                    notes.append(f"{file} is without the song, whose path {name} cannot hold")
        return found, notes

    def renew(self, job: Job) -> tuple[Stem, ...]:
        """Return the session files of a job that was moved, written anew where they speak of places that were left.

        What was changed since it was made is the user's, and stays.
        """
        return tuple(self._renew(job, one) for one in job.projects)

    def carry(self, store: JobStore, moves: Moves) -> None:
        """Write session files anew that a host has copied, or moved on its own account: no job follows them.

        Args:
            store: knows the jobs.
            moves: of song, stems and folders.
        """
        for job in {job.id: job for old, _ in moves for job in store.placed_at(old) if job.projects}.values():
            source = msgspec.structs.replace(job.source, path=move_path(job.source.path, moves))
            self.renew(msgspec.structs.replace(move_results(job, moves), source=source))

    def _renew(self, job: Job, project: Stem) -> Stem:
        paths = [job.source.path, *(stem.path for stem in job.stems)]
        if not all(map(os.path.lexists, paths)) or not is_unmodified(project.path, record_of(project)):
            # Of a move that is not through, the rest is told as well.
            return project
        try:
            data = _SessionOf(job, job.stems).render(self._formats()[project.name], project.path, paths[1:])
            record = record_bytes(data)
            if record != record_of(project):
                self._replace(project, data)
        except (KeyError, OSError, StembridgeError) as error:
            _log.warning("%s speaks of places that were left: %s", show_path(project.path), error)
            return project
        return msgspec.structs.replace(project, size=record.size, sha256=record.sha256)

    def _replace(self, project: Stem, data: bytes) -> None:
        draft = project.path.with_name(f"{HIDDEN_PREFIX}{secrets.token_hex(6)}")
        with self._notes.noted(draft):
            try:
                with draft.open("xb") as opened:
                    opened.write(data)
                    opened.flush()
                    os.fsync(opened.fileno())
                draft.replace(project.path)
            finally:
                draft.unlink(missing_ok=True)


class _SessionOf:
    """What goes into the session files of a job; its song and stems are looked at once.

    Args:
        job: whose they are.
        stems: where they stand now, or will have stood.
    """

    def __init__(self, job: Job, stems: Sequence[Stem]) -> None:
        self._source = job.source
        self._stems = stems
        self._sounds: list[tuple[int, AudioInfo]] | None = None
        self.songless: set[str] = set()
        """The formats that could not write the path of the song itself."""

    @cached_property
    def _tags(self) -> Mapping[str, tuple[str, ...]]:
        return read_leniently(self._source.path).fields

    def render(self, form: SessionFormat, place: Path, places: Sequence[Path]) -> bytes:
        """Return a session file, without the song where its path cannot be written.

        Raises:
            PlacementError: nor can that of a stem be.
            StembridgeError: a stem cannot be read, or a plugin broke.
        """
        from plugin_core.sessions.arrangement import arrange

        if self._sounds is None:
            self._sounds = list(self._look(places))
        if not self._sounds:
            raise PlacementError("none of the stems is sound")
        heard = [
            (msgspec.structs.replace(self._stems[index], path=places[index]), info) for index, info in self._sounds
        ]
        arrangement = arrange(self._source, heard, place, self._tags)
        with blame(form.name):
            try:
                return form.render(arrangement)
            except PlacementError:
                data = form.render(msgspec.structs.replace(arrangement, source=None))
        self.songless.add(form.name)
        return data

    def _look(self, places: Sequence[Path]) -> Iterator[tuple[int, AudioInfo]]:
        """Yield the stems that are sound; what a service gives beside them (MIDI, text) is on no track."""
        from plugin_core.audio.probe import identify

        for index, stem in enumerate(self._stems):
            if stem.path.suffix.lower() in AUDIO_SUFFIXES:
                # A job that goes on after a crash may have placed it already.
                yield index, identify(stem.path if stem.path.exists() else places[index])
