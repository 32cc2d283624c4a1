"""Where purchases lie at home: a folder each, in which results are fetched and kept for later wishes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from plugin_core.model import Part
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.purchase import KeptPart, Purchase, PurchaseState

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
        home: stembridge's home.
    """

    def __init__(self, home: Path) -> None:
        self._root = home / FOLDER

    def folder(self, purchase_id: str) -> Path:
        """Return the folder of a purchase, which may not be there; only the user may look in."""
        return self._root / purchase_id

    def holds(self, purchase: Purchase) -> bool:
        """Tell whether the results that were kept of a purchase lie there, as long as they were."""
        folder = self.folder(purchase.id)
        return bool(purchase.kept) and all(_size(folder / part.name) == part.size for part in purchase.kept)

    def parts(self, purchase: Purchase) -> list[Part]:
        """Return what is kept of a purchase, to be treated."""
        folder = self.folder(purchase.id)
        return [
            Part(stem=one.stem, label=one.label, path=folder / one.name, is_audio=one.is_audio, exact=one.exact)
            for one in purchase.kept
        ]

    def empty(self, purchase_id: str) -> None:
        """Remove results and downloads of a purchase; what its provider noted of it stays."""
        folder = self.folder(purchase_id)
        for path in folder.glob("part-*") if folder.is_dir() else ():
            path.unlink(missing_ok=True)

    def remove(self, purchase_id: str) -> None:
        """Remove all that lies at home of a purchase; absent is fine."""
        shutil.rmtree(self.folder(purchase_id), ignore_errors=True)

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
        """Remove folders of downloads that never came whole and that no job goes on with."""
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            purchase = ledger.find(folder.name) if folder.name not in kept else None
            if purchase is None or purchase.state is PurchaseState.KEPT or ledger.is_in_use(purchase):
                continue
            days = settings.keep_days if purchase.state.is_held or purchase.state.is_open else 0.0
            if now - _changed(folder) > max(days * _DAY, _ABANDONED_AFTER):
                self.remove(purchase.id)


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
