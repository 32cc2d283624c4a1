"""What does the effects of each job: operations put together with settings, providers and what the store knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_core.jobs.keys import is_same_wish
from plugin_core.model import Job, Tagging
from plugin_core.registry import Registry
from plugin_core.settings import Settings

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore
    from plugin_core.jobs.work import Work
    from plugin_core.operations.orders import Links
    from plugin_core.operations.projects import Projects
    from plugin_core.operations.separation import SeparationWork
    from plugin_core.operations.song_tags import TaggingWork
    from plugin_core.purchases.shelf import Shelf
    from plugin_core.tags.exchange import ReplaceOptions


class WorkFactory:
    """Makes the work of jobs.

    Args:
        settings: where results go, and how files are replaced.
        shelf: where results are kept, and in whose home they are worked on.
        registry: the providers.
        links: makes sources readable for providers that take links.
        projects: the session files beside stems.
        store: gives the job store, which knows earlier results.
    """

    def __init__(
        self,
        settings: Settings,
        shelf: Shelf,
        registry: Registry,
        links: Links,
        projects: Projects,
        store: Callable[[], JobStore],
    ) -> None:
        self._settings = settings
        self.shelf = shelf
        self._registry = registry
        self._links = links
        self._projects = projects
        self._store = store

    def work_for(self, job: Job) -> Work:
        """Return what does the effects of a job's operation.

        Raises:
            StembridgeError: its provider or a setting is not to be had.
        """
        return self._tagging(job) if isinstance(job.operation, Tagging) else self._separation(job)

    def replace_options(self) -> ReplaceOptions:
        """Return how files are replaced: part of the section ``tags``.

        Raises:
            SettingsError: the section is wrong.
        """
        from plugin_core.tags.exchange import ReplaceOptions
        from plugin_core.wishes import TAGS

        settings = self._settings.section("tags", TAGS)
        return ReplaceOptions(**{name: getattr(settings, name) for name in ReplaceOptions.__dataclass_fields__})

    def _tagging(self, job: Job) -> TaggingWork:
        from plugin_core.files.hidden import HiddenNotes
        from plugin_core.operations.song_tags import TaggingWork

        return TaggingWork(
            self._registry.tagger(job.operation.provider),
            shelf=self.shelf,
            notes=HiddenNotes(self._settings.home),
            options=self.replace_options(),
            links=self._links,
            hear=self._hear,
            know=self._know,
            purchases=self._store().purchases,
        )

    def _separation(self, job: Job) -> SeparationWork:
        from plugin_core.operations.separation import SeparationWork

        return SeparationWork(
            self._registry.separator(job.operation.provider),
            shelf=self.shelf,
            projects=self._projects,
            earlier=self._earlier,
            links=self._links,
            hear=self._hear,
            sound_of=lambda recording: self._store().sound_of(recording),
            purchases=self._store().purchases,
        )

    def _earlier(self, job: Job) -> list[Job]:
        """Return the finished jobs whose untouched results this one may swap: those of another form stay.

        So do stems that were only found: whether their user worked on them before that, nobody knows.
        """
        from plugin_core.operations.history import FOUND

        done = [one for one in self._store().done_like(job.dedupe) if FOUND not in one.notes]
        return [one for one in done if is_same_wish(one.operation, job.operation)]

    def is_song_of(self, job: Job, path: Path) -> bool:
        """Tell whether the song of a job lies at a path, whatever its tags are by now."""
        from plugin_core.operations.song import Song

        return Song(job.source, job.recording, self._hear).is_at(path)

    def _hear(self, path: Path, check: Callable[[], None]) -> frozenset[str]:
        store = self._store()
        found = store.recordings.find(path, check=check)
        return frozenset(store.recordings_of(found.recording) if found else ())

    def _know(self, recording: str, hashes: Sequence[str]) -> None:
        if recording:
            self._store().know(recording, hashes)
