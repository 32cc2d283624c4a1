"""What does the effects of each job: operations put together with settings, providers and what the store knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_core.model import Job, Source, Tagging
from plugin_core.registry import Registry
from plugin_core.settings import Settings

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore
    from plugin_core.jobs.work import Work
    from plugin_core.operations.links import Links
    from plugin_core.operations.separation import SeparationWork
    from plugin_core.operations.tagging import TaggingWork
    from plugin_core.tags.exchange import ReplaceOptions


class WorkFactory:
    """Makes the work of jobs.

    Args:
        settings: where results go, and how files are replaced.
        registry: the providers.
        links: makes sources readable for providers that take links.
        store: gives the job store, which knows earlier results.
    """

    def __init__(self, settings: Settings, registry: Registry, links: Links, store: Callable[[], JobStore]) -> None:
        self._settings = settings
        self._registry = registry
        self._links = links
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
        from plugin_core.defaults import TagsSettings
        from plugin_core.tags.exchange import ReplaceOptions

        settings = self._settings.section("tags", TagsSettings)
        return ReplaceOptions(hard_links=settings.hard_links, keep_mtime=settings.keep_mtime)

    def _tagging(self, job: Job) -> TaggingWork:
        from plugin_core.operations.tagging import TaggingWork

        return TaggingWork(
            self._registry.tagger(job.operation.provider),
            home=self._settings.home,
            options=self.replace_options(),
            links=self._links,
            earlier=self._earlier,
            is_retagged=self.is_retagged,
        )

    def _separation(self, job: Job) -> SeparationWork:
        from plugin_core.operations.separation import SeparationWork
        from plugin_core.stems.template import StemsSettings

        return SeparationWork(
            self._registry.separator(job.operation.provider),
            home=self._settings.home,
            settings=self._settings.section("stems", StemsSettings),
            earlier=self._earlier,
            links=self._links,
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
