"""What does the effects of each job: operations put together with settings, providers and what the store knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.model import Job, Source, Tagging
from plugin_core.offered import Offered
from plugin_core.settings import Settings

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore
    from plugin_core.jobs.work import Work
    from plugin_core.operations.separation import SeparationWork
    from plugin_core.operations.tagging import TaggingWork
    from plugin_core.tags.exchange import Manners


class Works:
    """Makes the work of jobs.

    Args:
        settings: where results go, and how files are replaced.
        offered: the providers.
        store: gives the job store, which knows earlier results.
    """

    def __init__(self, settings: Settings, offered: Offered, store: Callable[[], JobStore]) -> None:
        self._settings = settings
        self._offered = offered
        self._store = store

    def work_for(self, job: Job) -> Work:
        """Return what does the effects of a job's operation.

        Raises:
            StembridgeError: its provider or a setting is not to be had.
        """
        return self._tagging(job) if isinstance(job.operation, Tagging) else self._separation(job)

    def manners(self) -> Manners:
        """Return how files are replaced: part of the section ``tags``.

        Raises:
            SettingsError: the section is wrong.
        """
        from plugin_core.preferences import TagsSettings
        from plugin_core.tags.exchange import Manners

        settings = self._settings.section("tags", TagsSettings)
        return Manners(hard_links=settings.hard_links, keep_mtime=settings.keep_mtime)

    def _tagging(self, job: Job) -> TaggingWork:
        from plugin_core.operations.tagging import TaggingWork

        return TaggingWork(
            self._offered.tagger(job.operation.provider),
            home=self._settings.home,
            manners=self.manners(),
            links=self._offered.links,
            earlier=self._earlier,
            is_retagged=self.is_retagged,
        )

    def _separation(self, job: Job) -> SeparationWork:
        from plugin_core.operations.separation import SeparationWork
        from plugin_core.stems.template import StemsSettings

        return SeparationWork(
            self._offered.separator(job.operation.provider),
            home=self._settings.home,
            settings=self._settings.section("stems", StemsSettings),
            earlier=self._earlier,
            links=self._offered.links,
            is_retagged=self.is_retagged,
        )

    def _earlier(self, job: Job) -> list[Job]:
        return self._store().done_like(job.dedupe)

    def is_retagged(self, source: Source, content: str) -> bool:
        """Tell whether content of this hash is a source as our own taggings left it, or are just leaving it."""
        from plugin_core.operations.retagged import origin_of, written_just_now

        store, origin = self._store(), origin_of(self._store(), source.content)
        if origin_of(store, content) == origin:
            return True
        before = written_just_now(store, self._settings.home, content)
        # It may have come to its end between the two questions.
        return origin_of(store, before or content) == origin
