"""What every song at work needs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from plugin_core.jobs.roster import Roster
from plugin_core.session import Session
from stembridge_hot_folder.display.counts import Counts
from stembridge_hot_folder.display.reporting import Reporter
from stembridge_hot_folder.folder.recipes import Recipes
from stembridge_hot_folder.ledger import Ledger, Look
from stembridge_hot_folder.queueing import Queue
from stembridge_hot_folder.settings import WatchSettings
from stembridge_hot_folder.sleep_detector import SleepDetector
from stembridge_hot_folder.stores import Stores


class Tools(msgspec.Struct, frozen=True):
    """Shared by all songs of a watch."""

    stores: Stores
    recipes: dict[bytes, Recipes]
    """By hot folder."""
    settings: WatchSettings
    queue: Queue
    roster: Roster
    reporter: Reporter
    clock: Callable[[], float]
    counts: Counts
    awake: SleepDetector
    suspects: dict[bytes, Look] = {}
    """Songs that were being read when an earlier process ended without a word."""

    @property
    def session(self) -> Session:
        """The core."""
        return self.stores.session

    @property
    def ledger(self) -> Ledger:
        """What was done."""
        return self.stores.ledger
