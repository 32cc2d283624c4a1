"""How long what a service says of a paid job is borne: that it does not know it, and what nobody understands."""

from __future__ import annotations

import msgspec

from plugin_core.errors import UnresolvedError
from plugin_core.jobs.held import Held
from plugin_core.protocols import GRACE
from plugin_core.purchases.purchase import Purchase


def is_young(held: Held) -> bool:
    """Tell whether the service took the job so lately that it may not know it everywhere."""
    purchase = held.purchase
    if purchase is None or purchase.ended:
        return False
    # A clock that was set back does not make it young again.
    return abs(held.now() - purchase.sent) < max(GRACE, _register_seconds(held, purchase))


def may_be_missed(held: Held, looked_at: float) -> bool:
    """Tell whether a job that was not listed at a time may be listed yet."""
    purchase = held.purchase
    if purchase is None:
        return False
    return looked_at - (purchase.looked_since or looked_at) < _register_seconds(held, purchase)


def bear(held: Held, said: str) -> Purchase | None:
    """Return what is to be stored of an answer that nobody understands; the network's silence is none.

    Raises:
        UnresolvedError: there was no other for too long. The next look begins anew.
    """
    purchase, now = held.purchase, held.now()
    if purchase is None:
        return None
    if not purchase.unclear_since:
        return msgspec.structs.replace(purchase, unclear_since=now)
    hours = held.work.terms(held.job).unclear_hours
    if now - purchase.unclear_since < hours * 3600:
        return None
    held.store.purchases.change(purchase.id, unclear_since=0.0)
    raise UnresolvedError(
        f"{purchase.provider} has said nothing of the job that can be understood for {hours:g} hours, last: {said}",
        remedy="look at the job in the service's console",
    )


def end_vagueness(held: Held) -> Purchase | None:
    """Return what is to be stored of an answer that was understood."""
    purchase = held.purchase
    if purchase is None or not purchase.unclear_since:
        return None
    return msgspec.structs.replace(purchase, unclear_since=0.0)


def _register_seconds(held: Held, purchase: Purchase) -> float:
    """Return how long lists may miss the job: as it was sent, or as the settings say now, whichever is longer."""
    return max(purchase.register_seconds, held.work.terms(held.job).register_seconds)
