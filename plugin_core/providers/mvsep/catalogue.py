"""The list of algorithms: live, kept for a day in the home folder, and a dated snapshot where there is no network."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.manifests import manifest
from plugin_core.providers.mvsep.algorithms import Algorithm, read_algorithms

SNAPSHOT: Final = "providers/mvsep_algorithms.json"
DAY: Final = 86_400.0
PATIENCE: Final = 15.0
"""Seconds a list is waited for: an older one is better than none."""

RETRY_AFTER: Final = 60.0
"""Seconds in which a service that did not answer is not asked again."""

Fetch = Callable[[], Awaitable[object]]
"""Ask the service for the algorithms of all scopes, as its JSON."""

_log = logging.getLogger(__name__)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Algorithms, and how old they are."""

    algorithms: tuple[Algorithm, ...]
    fetched: float
    base_url: str
    note: str = ""
    """What the user should know: the list is not the service's present one."""


# Made once and here: threads that have msgspec work out the same type at the same moment crash the process.
_LISTING: Final = msgspec.json.Decoder(Listing)


class Catalogue:
    """The algorithms of one service.

    Args:
        fetch: asks the service; None asks nobody.
        home: stembridge's home; the list is kept in ``cache/`` there.
        base_url: of the service; the list of another is not taken.
        max_age: seconds a list is believed.
        clock: seconds since the epoch.
        snapshot: the list that is shipped; default the manifest.
    """

    def __init__(
        self,
        fetch: Fetch | None,
        home: Path,
        *,
        base_url: str,
        max_age: float = DAY,
        clock: Callable[[], float] = time.time,
        snapshot: Path | None = None,
    ) -> None:
        self._fetch = fetch
        self._path = home / "cache" / "mvsep-algorithms.json"
        self._base_url = base_url
        self._max_age = max_age
        self._clock = clock
        self._snapshot = snapshot
        self._held: Listing | None = None
        self._retry_at = 0.0

    async def listing(self) -> Listing:
        """Return the list: kept if it is young, else asked for, else old, else the snapshot."""
        if self._held is None:
            self._held = await asyncio.to_thread(self._read)
        if self._held is not None and self._is_young(self._held):
            return self._held
        if self._fetch is not None and self._clock() >= self._retry_at:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._ask(self._fetch)
            except (StembridgeError, TimeoutError) as error:
                self._retry_at = self._clock() + RETRY_AFTER
                _log.info("the list of models is not renewed: %s", error or "no answer in time")
        if self._held is None:
            self._held = await asyncio.to_thread(read_snapshot, self._snapshot or manifest(SNAPSHOT), self._base_url)
        return self._old(self._held)

    async def _ask(self, fetch: Fetch) -> Listing:
        algorithms = read_algorithms(await fetch())
        if not algorithms:
            raise StembridgeError("the service's list of models is empty")
        held = Listing(algorithms=algorithms, fetched=self._clock(), base_url=self._base_url)
        self._held = held
        try:
            await asyncio.to_thread(self._write, held)
        except OSError as error:
            _log.warning("the list of models is not kept in %s: %s", self._path.parent, error.strerror)
        return held

    def _is_young(self, listing: Listing) -> bool:
        # A list from the future is one of a clock that was wrong.
        return not listing.note and 0 <= self._clock() - listing.fetched < self._max_age

    def _old(self, listing: Listing) -> Listing:
        if listing.note:
            return listing
        day = time.strftime("%Y-%m-%d", time.localtime(listing.fetched))
        return msgspec.structs.replace(
            listing, note=f"MVSEP's list of models is of {day}: it was not asked, or does not answer now"
        )

    def _read(self) -> Listing | None:
        try:
            kept = _LISTING.decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.info("the kept list of models is unreadable: %s", error)
            return None
        return kept if kept.base_url == self._base_url and kept.algorithms else None

    def _write(self, listing: Listing) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(msgspec.json.encode(listing))
            os.replace(name, self._path)  # noqa: PTH105 - mkstemp gives text
        except BaseException:
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - mkstemp gives text
            raise


def read_snapshot(path: Path, base_url: str) -> Listing:
    """Read the list that is shipped, with a note saying of when it is."""
    document = json.loads(path.read_bytes())
    dated = re.search(r"\d{4}-\d{2}(-\d{2})?", str(document.get("source", "")))
    note = f"MVSEP's list of models is the one shipped, of {dated[0] if dated else 'unknown date'}"
    return Listing(algorithms=read_algorithms(document), fetched=0.0, base_url=base_url, note=note)
