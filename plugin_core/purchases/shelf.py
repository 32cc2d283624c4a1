"""Where purchases lie: a folder each, in which results are fetched and kept for later wishes.

Where machines share a bucket instead of a folder, what is kept lies there, and here only while a job is at it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from plugin_core.errors import ResultError, TransientError
from plugin_core.files.checksum import Check, Record, hash_file
from plugin_core.model import Job, Part
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.purchase import KeptPart, Purchase, PurchaseState

if TYPE_CHECKING:
    from plugin_core.files.depot import Depot

_log = logging.getLogger(__name__)

FOLDER: Final = "purchases"
_DAY: Final = 86_400.0
_ABANDONED_AFTER: Final = 3600.0
"""Seconds in which a folder may belong to somebody whose job is not stored yet."""

Amount = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class PurchasesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of purchases: section ``purchases``."""

    keep_days: Amount = 7.0
    """Days that what was delivered is kept at home after it was last used."""
    keep_gb: Amount = 5.0
    """Gigabytes that all of it may take; the oldest goes first."""


class Shelf:
    """The folders of purchases.

    Args:
        home: stembridge's home, or the folder that machines share.
        depot: the bucket that they share instead.
    """

    def __init__(self, home: Path, depot: Depot | None = None) -> None:
        self.home = home
        self.depot = depot
        self._root = home / FOLDER

    def folder(self, purchase_id: str) -> Path:
        """Return the folder of a purchase, which may not be there; only the user may look in."""
        return self._root / purchase_id

    def holds(self, purchase: Purchase) -> bool:
        """Tell whether the results that were kept of a purchase lie here, as long as they were, or in the bucket."""
        return self._is_in_depot(purchase) or (
            bool(purchase.kept) and all(self._is_here(purchase, part) for part in purchase.kept)
        )

    def keep(self, job: Job, parts: Sequence[Part], check: Check) -> tuple[KeptPart, ...]:
        """Say what came, for whoever looks for what was paid for, and let every machine have it.

        Args:
            job: that fetched it.
            parts: which lie in the folder of its purchase.
            check: called again and again; raises to stop.

        Returns:
            What is to be recorded of them.

        Raises:
            TransientError: the bucket cannot be used now.
        """
        kept = []
        for part, one in zip(parts, describe_parts(parts), strict=True):
            record = hash_file(part.path, check)
            words = "job %s: fetched %s, %d bytes, sha256 %s, as %s"
            _log.info(words, job.id, part.label, record.size, record.sha256, one.name)
            if self.depot is not None:
                self.depot.put(f"{FOLDER}/{job.purchase}", part.path, record, check)
            kept.append(one if self.depot is None else msgspec.structs.replace(one, sha256=record.sha256))
        return tuple(kept)

    def take_over(self, home: Path, ledger: PurchaseLedger) -> None:
        """Let every machine have what was kept in the home of one of them, where it stays as well.

        Raises:
            OSError: it cannot be read, or not be written.
            TransientError: the bucket cannot be used now.
        """
        before = Shelf(home)
        for purchase in ledger.kept():
            folder = before.folder(purchase.id)
            if not before.holds(purchase) or self._is_in_depot(purchase):
                continue
            if self.depot is None:
                shutil.copytree(folder, self.folder(purchase.id), dirs_exist_ok=True)
                continue
            records = [hash_file(folder / one.name) for one in purchase.kept]
            for one, record in zip(purchase.kept, records, strict=True):
                self.depot.put(f"{FOLDER}/{purchase.id}", folder / one.name, record)
            pairs = zip(purchase.kept, records, strict=True)
            ledger.change(purchase.id, kept=tuple(msgspec.structs.replace(one, sha256=of.sha256) for one, of in pairs))

    def bring(self, purchase: Purchase, ledger: PurchaseLedger | None, check: Check) -> list[Part]:
        """Return what is kept of a purchase, to be treated, once it lies here.

        What the bucket has no more is as if it had never been kept.

        Raises:
            ResultError: the bucket has it no more, or other than it was put there.
            TransientError: the bucket cannot be used now.
        """
        folder = self.folder(purchase.id)
        try:
            for one in purchase.kept:
                if self.depot is not None and not self._is_here(purchase, one):
                    record = Record(one.size, one.sha256)
                    self.depot.get(f"{FOLDER}/{purchase.id}", folder / one.name, record, check)
        except ResultError:
            if ledger is not None:
                ledger.change(purchase.id, kept=())
            raise
        return [
            Part(stem=one.stem, label=one.label, path=folder / one.name, is_audio=one.is_audio, exact=one.exact)
            for one in purchase.kept
        ]

    def empty(self, purchase_id: str) -> None:
        """Remove results and downloads of a purchase; what its provider noted of it stays."""
        folder = self.folder(purchase_id)
        for path in folder.glob("part-*") if folder.is_dir() else ():
            path.unlink(missing_ok=True)
        self._take_back(purchase_id)

    def remove(self, purchase_id: str) -> None:
        """Remove all that lies here of a purchase, and in the bucket; absent is fine."""
        shutil.rmtree(self.folder(purchase_id), ignore_errors=True)
        self._take_back(purchase_id)

    def make_room(self, purchase_id: str, ledger: PurchaseLedger) -> None:
        """Remove what lies here of a purchase where the bucket has it all and no job is at it any more."""
        purchase = ledger.find(purchase_id) if self.depot is not None else None
        if purchase is not None and self._is_in_depot(purchase) and not ledger.is_in_use(purchase):
            shutil.rmtree(self.folder(purchase_id), ignore_errors=True)

    def _take_back(self, purchase_id: str) -> None:
        try:
            if self.depot is not None:
                self.depot.remove(f"{FOLDER}/{purchase_id}")
        except TransientError as error:
            _log.info("what the bucket has of purchase %s stays for now: %s", purchase_id, error)

    def _is_in_depot(self, purchase: Purchase) -> bool:
        return self.depot is not None and bool(purchase.kept) and all(part.sha256 for part in purchase.kept)

    def _is_here(self, purchase: Purchase, part: KeptPart) -> bool:
        return _size(self.folder(purchase.id) / part.name) == part.size

    def tidy(self, ledger: PurchaseLedger, settings: PurchasesSettings, clock: Callable[[], float]) -> int:
        """Let go of what is kept too long or takes too much room, the oldest first; return how many purchases.

        Whether the service still has it is for the next wish to find out, unless it was told to forget it. What an
        active job may be at stays for now.
        """
        left, gone, kept = settings.keep_gb * 1e9, 0, ledger.kept()
        for purchase in kept:
            size = sum(part.size for part in purchase.kept)
            left -= size
            if left >= 0 and clock() - purchase.updated <= settings.keep_days * _DAY:
                continue
            state = PurchaseState.EXPIRED if purchase.is_released else PurchaseState.READY
            reason = "its results are kept no longer" if purchase.is_released else ""
            if ledger.let_go(purchase.id, state, reason):
                left += size
                self.remove(purchase.id)
                gone += 1
        self._sweep(ledger, settings, clock(), {purchase.id for purchase in kept})
        return gone

    def _sweep(self, ledger: PurchaseLedger, settings: PurchasesSettings, now: float, kept: Collection[str]) -> None:
        """Remove folders of downloads that never came whole and that no job goes on with, and what was left here."""
        # What is kept, which is most of it, needs a look only where a bucket has it as well.
        for purchase_id in sorted(self._ids().difference(kept if self.depot is None else ())):
            purchase, folder = ledger.find(purchase_id), self.folder(purchase_id)
            if purchase is None or ledger.is_in_use(purchase):
                continue
            age = now - max(_changed(folder) if folder.is_dir() else 0.0, purchase.updated)
            if purchase_id in kept or purchase.state is PurchaseState.KEPT:
                if age > _ABANDONED_AFTER:
                    self.make_room(purchase_id, ledger)
                continue
            days = settings.keep_days if purchase.state.is_held or purchase.state.is_open else 0.0
            if age > max(days * _DAY, _ABANDONED_AFTER):
                self.remove(purchase_id)

    def _ids(self) -> set[str]:
        """Return of which purchases something lies here or in the bucket."""
        here = {folder.name for folder in self._root.iterdir()} if self._root.is_dir() else set()
        try:
            return here | set(self.depot.folders(FOLDER) if self.depot is not None else ())
        except TransientError as error:
            _log.info("the bucket is not tidied for now: %s", error)
            return here


def describe_parts(parts: Iterable[Part]) -> tuple[KeptPart, ...]:
    """Return what is recorded of parts that lie in their purchase's folder."""
    return tuple(
        KeptPart(
            stem=part.stem,
            label=part.label,
            name=part.path.name,
            size=part.path.stat().st_size,
            is_audio=part.is_audio,
            exact=part.exact,
        )
        for part in parts
    )


def _changed(folder: Path) -> float:
    """Return when a folder or a file in it was last changed; far ahead when that cannot be told."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return float("inf")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
