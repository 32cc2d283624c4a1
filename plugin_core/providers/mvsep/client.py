"""Every endpoint of the MVSEP API, with typed answers.

Endpoints marked *experimental* are known from public clients alone, not from the vendor's documentation.
Errors are those of ``plugin_core.errors`` and carry the service's own words and the HTTP status.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from plugin_core.providers.mvsep.account_calls import AccountCalls, Notice, list_of, parse_notice
from plugin_core.providers.mvsep.caller import Caller, page
from plugin_core.providers.mvsep.job_calls import JobCalls
from plugin_core.providers.mvsep.loose_json import as_list, as_mapping, as_number, as_text, read
from plugin_core.settings import Secret
from plugin_core.transfer import FilePart, Multipart

_NO_VALUE: Final = (0.0, -1000.0)


class QualityEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One set of separations that was measured."""

    id: int | None = None
    dataset_type: int | None = None
    dataset_name: str = ""
    date: str = ""
    algo_name: str = ""
    main_text: str = ""
    proc: int | None = None
    msg: str = ""
    """"OK", or what went wrong."""
    metrics: tuple[str, ...] = ()
    """Lines such as ``Metric sdr for vocals: 11.72``."""
    is_ensemble: bool | None = None
    sdr: dict[str, float] = {}
    """Stem to SDR in decibels; values that mean "none" (0, -1000) are left out."""


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True):
    """The best of one data set."""

    entries: tuple[QualityEntry, ...] = ()
    dataset_type: int | None = None
    sortables: tuple[str, ...] = ()
    sort: str = ""


class QualityAdded(msgspec.Struct, frozen=True, kw_only=True):
    """A set of separations that was accepted for measuring."""

    id: int | None = None
    link: str = ""


def parse_entry(data: object) -> QualityEntry:
    raw = as_mapping(data)
    lines = raw.get("metrics")
    metrics = lines.splitlines() if isinstance(lines, str) and lines[:1] not in ("[", "{") else as_list(lines)
    entry = read(QualityEntry, {**raw, "metrics": None})
    return msgspec.structs.replace(
        entry,
        metrics=tuple(as_text(line).strip() for line in metrics if as_text(line).strip()),
        sdr=_read_sdr(raw),
    )


def parse_entries(payload: object) -> tuple[QualityEntry, ...]:
    """Read a page of entries."""
    return tuple(parse_entry(item) for item in list_of(payload))


def parse_leaderboard(payload: object) -> Leaderboard:
    body = as_mapping(payload)
    return Leaderboard(
        entries=parse_entries(body if "data" in body else payload),
        dataset_type=read(QualityEntry, body).dataset_type,
        sortables=tuple(as_text(item) for item in as_list(body.get("sortables")) if as_text(item)),
        sort=as_text(body.get("sort")),
    )


def parse_added(payload: object) -> QualityAdded:
    """Read the answer to an entry that was sent."""
    body = as_mapping(payload)
    return read(QualityAdded, as_mapping(body.get("data")) or body)


def _read_sdr(raw: dict[str, Any]) -> dict[str, float]:
    found = {key.removeprefix("sdr_"): as_number(raw[key]) for key in raw if key.startswith("sdr_")}
    return {stem: number for stem, number in found.items() if number is not None and number not in _NO_VALUE}


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


class MvsepClient(JobCalls, AccountCalls, QualityCalls):
    """One account at MVSEP, or none: all that its API can do."""
