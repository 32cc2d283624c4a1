"""The endpoints below ``quality_checker/``."""

from __future__ import annotations

from pathlib import Path

from plugin_core.providers.mvsep.answers import Leaderboard, Notice, QualityAdded, QualityEntry
from plugin_core.providers.mvsep.answers.account import parse_notice
from plugin_core.providers.mvsep.answers.drift import as_mapping
from plugin_core.providers.mvsep.answers.quality import parse_added, parse_entries, parse_entry, parse_leaderboard
from plugin_core.providers.mvsep.caller import Caller, page
from plugin_core.settings import Secret
from plugin_core.transfer import FilePart, Multipart


class QualityCalls(Caller):
    """The quality checker, which measures separations of songs whose true stems it holds."""

    async def quality_queue(self, *, start: int = 0, limit: int = 10) -> tuple[QualityEntry, ...]:
        """List what waits at the quality checker."""
        return parse_entries(await self._get("quality_checker/queue", page(start, limit)))

    async def quality_leaderboard(
        self, *, dataset_type: int = 0, start: int = 0, limit: int = 10, name_filter: str = "", sort: str = ""
    ) -> Leaderboard:
        """List the best of one data set.

        Args:
            dataset_type: 0 Synth, 1 Multisong, 2 Piano, 3 Lead/Back, 4 Guitar, up to 12.
            start: of the page.
            limit: of the page.
            name_filter: part of an algorithm's name.
            sort: one of ``Leaderboard.sortables``.
        """
        wanted = {"algo_name_filter": name_filter, "sort": sort}
        query = {"dataset_type": str(dataset_type), **page(start, limit)}
        query |= {name: value for name, value in wanted.items() if value}
        return parse_leaderboard(await self._get("quality_checker/leaderboard", query))

    async def quality_entry(self, entry_id: int) -> QualityEntry:
        """Return one entry of the quality checker.

        Raises:
            ServiceError: there is none.
        """
        body = as_mapping(await self._get("quality_checker/entry", {"id": str(entry_id)}))
        return parse_entry(body.get("data") or body)

    async def quality_add(
        self,
        archive: Path,
        *,
        algo_name: str,
        main_text: str,
        password: Secret,
        dataset_type: int = 0,
        ensemble: bool = False,
    ) -> QualityAdded:
        """Send a zip of separations to be measured; never sent twice by itself."""
        fields = {
            "algo_name": algo_name,
            "main_text": main_text,
            "password": password,
            "dataset_type": str(dataset_type),
            "ensemble": str(int(ensemble)),
        }
        files = [FilePart(field="zipfile", path=archive, content_type="application/zip")]
        body = Multipart(fields=self._with_token(fields), files=files)
        return parse_added(await self._post_once("quality_checker/add", body))

    async def quality_delete(self, entry_id: int, password: Secret) -> Notice:
        """Remove an entry of the quality checker."""
        fields = {"id": str(entry_id), "password": password}
        return parse_notice(await self._post("quality_checker/delete", fields, with_token=False))
