"""The purchases of a store: written in the transactions of the jobs that make them, looked up before any other.

How much may be spent is said by limits of the user's own, counted over all processes of a store as purchases are made:
in credits, or one for a purchase whose service names no price. Days and months are those of the local calendar; what
turned out to cost nothing does not count.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from plugin_core.errors import RefusedError, StoreError, UsageError
from plugin_core.files.database import NO_LIMIT, Connection, Database, begun_anew
from plugin_core.files.path_map import read_stored, stored_json
from plugin_core.model import Quote, Ticket
from plugin_core.purchases.purchase import Purchase, PurchaseState, purchase_keys, serves

# ``kept_bytes`` is what lies in the purchase's folder, 0 when nothing does. ``purchases_spent`` has all that limits add
# up, so that no row is looked at.
TABLE: Final = """
CREATE TABLE purchases (
    id TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    recording TEXT NOT NULL,
    remote TEXT,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    credits REAL,
    kept_bytes INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
);
CREATE INDEX purchases_by_key ON purchases (key, created);
CREATE INDEX purchases_by_recording ON purchases (recording, created);
CREATE INDEX purchases_by_remote ON purchases (remote) WHERE remote IS NOT NULL;
CREATE INDEX purchases_by_time ON purchases (created, id);
CREATE INDEX purchases_spent ON purchases (provider, created, state, credits, id);
CREATE INDEX purchases_kept ON purchases (updated) WHERE kept_bytes > 0
"""

_LOOKED_AT: Final = 50
"""Purchases of one key that are looked at: the newest."""

_PUT: Final = """
INSERT INTO purchases
    (id, key, state, provider, account, recording, remote, created, updated, credits, kept_bytes, body)
VALUES (:id, :key, :state, :provider, :account, :recording, :remote, :created, :updated, :credits, :kept_bytes, :body)
ON CONFLICT (id) DO UPDATE SET key = excluded.key, state = excluded.state, account = excluded.account,
    recording = excluded.recording, remote = excluded.remote, updated = excluded.updated, credits = excluded.credits,
    kept_bytes = excluded.kept_bytes, body = excluded.body
"""
_BY_KEY: Final = (
    "SELECT * FROM purchases INDEXED BY purchases_by_key WHERE key = ? ORDER BY created DESC, id DESC LIMIT ?"
)
_BY_RECORDING: Final = (
    "SELECT DISTINCT account FROM purchases INDEXED BY purchases_by_recording"
    " WHERE recording = ? AND provider = ? AND account <> ?"
)
_OTHER_KEYS: Final = "with other keys than those that are set now: with those it may still be had"
_IN_USE: Final = "SELECT 1 FROM jobs INDEXED BY jobs_by_base WHERE base = ? AND active = 1 LIMIT 1"
"""The jobs lie in the same file."""


class PurchaseLedger:
    """Every purchase of a store.

    Args:
        database: the store's file.
        clock: seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def find(self, purchase_id: str) -> Purchase | None:
        """Return one purchase by its whole id; None if there is none."""
        with self._database.read() as connection:
            return fetch(connection, purchase_id)

    def get(self, prefix: str) -> Purchase:
        """Return one purchase by its id, the unique beginning of it, or the service's own id of it.

        Raises:
            UsageError: no purchase, or more than one.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM purchases WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (prefix, prefix + "g")
            ).fetchall()
            rows = rows or connection.execute("SELECT * FROM purchases WHERE remote = ? LIMIT 2", (prefix,)).fetchall()
            found = [from_row(row) for row in rows]
        if len(found) != 1 or not prefix:
            what = f"{prefix!r} means several purchases" if len(found) > 1 else f"no purchase {prefix!r}"
            raise UsageError(what, remedy="`stembridge purchases` shows the ids")
        return found[0]

    def serving(self, keys: Sequence[str], quote: Quote) -> Purchase | None:
        """Return the purchase that a wish goes on from: one whose results are to be had, else the newest that was made.

        One that cost nothing is none.
        """
        with self._database.read() as connection:
            found = [from_row(row) for key in keys for row in connection.execute(_BY_KEY, (key, _LOOKED_AT))]
        made = [one for one in found if one.state is not PurchaseState.CANCELLED and serves(one, quote)]
        made.sort(key=lambda one: (_rank(one.state), -one.created))
        return made[0] if made else None

    def serving_wish(
        self, provider: str, account: str, recordings: Sequence[str], quote: Quote, is_here: Callable[[Purchase], bool]
    ) -> Purchase | None:
        """Return the purchase that a wish goes on from, with whatever keys it was bought.

        What was bought with other keys serves where its results are here: they are the user's own. Of the rest it is
        told that it was bought, as of what is gone: the keys of now may be another account's.

        Args:
            provider: of the wish.
            account: whose keys are set now.
            recordings: every id of the song's recording, the present one first.
            quote: what would be sent.
            is_here: tells whether all that the wish needs of a purchase is in the home folder.
        """
        own = self.serving(purchase_keys(provider, account, recordings, quote), quote)
        if own is not None and (own.state.is_held or own.state.is_open):
            return own
        others = self._other_accounts(provider, account, recordings)
        keys = [key for other in others for key in purchase_keys(provider, other, recordings, quote)]
        found = self.serving(keys, quote)
        if found is None or is_here(found):
            return found or own
        return own or msgspec.structs.replace(found, state=PurchaseState.EXPIRED, reason=_OTHER_KEYS)

    def _other_accounts(self, provider: str, account: str, recordings: Sequence[str]) -> builtins.list[str]:
        with self._database.read() as connection:
            rows = [row for one in recordings for row in connection.execute(_BY_RECORDING, (one, provider, account))]
        return sorted({row["account"] for row in rows})

    def list(self, *, since: float = 0.0, provider: str = "", limit: int | None = None) -> list[Purchase]:
        """Return purchases, the newest first."""
        one = " AND provider = ?" if provider else ""
        values: tuple[object, ...] = (since, *([provider] if provider else []), NO_LIMIT if limit is None else limit)
        query = f"SELECT * FROM purchases WHERE created >= ?{one} ORDER BY created DESC, id DESC LIMIT ?"  # noqa: S608
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(query, values)]

    @begun_anew
    def put(self, purchase: Purchase) -> None:
        """Store a purchase as it is now."""
        with self._database.write() as connection:
            put(connection, purchase)

    @begun_anew
    def change(self, purchase_id: str, /, **fields: object) -> Purchase | None:
        """Change fields of a purchase and return it; None if there is none."""
        with self._database.write() as connection:
            purchase = fetch(connection, purchase_id)
            if purchase is not None:
                purchase = msgspec.structs.replace(purchase, updated=self._clock(), **fields)
                put(connection, purchase)
            return purchase

    @begun_anew
    def write_note(self, purchase_id: str, name: str, value: str) -> None:
        """Keep what a provider notes of a purchase, on the disk before this returns."""
        with self._database.write() as connection:
            purchase = fetch(connection, purchase_id)
            if purchase is not None:
                put(connection, msgspec.structs.replace(purchase, note={**purchase.note, name: value}))

    @begun_anew
    def let_go(self, purchase_id: str, state: PurchaseState, reason: str = "") -> bool:
        """Note that nothing is kept of a purchase any more, unless a job that is active may be at it; tell whether."""
        with self._database.write() as connection:
            purchase = fetch(connection, purchase_id)
            if purchase is None or is_wanted(connection, purchase):
                return False
            after = msgspec.structs.replace(purchase, state=state, kept=(), reason=reason, updated=self._clock())
            put(connection, after)
            return True

    def is_in_use(self, purchase: Purchase) -> bool:
        """Tell whether a job that is active may be at a purchase."""
        with self._database.read() as connection:
            return is_wanted(connection, purchase)

    def kept(self) -> builtins.list[Purchase]:
        """Return the purchases whose results lie in their folders, the one changed last first."""
        query = "SELECT * FROM purchases INDEXED BY purchases_kept WHERE kept_bytes > 0 ORDER BY updated DESC"
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(query)]


def is_wanted(connection: Connection, purchase: Purchase) -> bool:
    """Tell, inside a transaction, whether a job that is active may be at a purchase."""
    return connection.execute(_IN_USE, (purchase.key,)).fetchone() is not None


def heal(connection: Connection, purchase_id: str, ticket: Ticket, now: float) -> bool:
    """Write the ticket of a late answer onto a purchase that has none; tell whether it has this one now."""
    purchase = fetch(connection, purchase_id)
    if purchase is None:
        return False
    if purchase.ticket is not None:
        return purchase.ticket.remote_id == ticket.remote_id
    running = msgspec.structs.replace(purchase, state=PurchaseState.RUNNING, ticket=ticket, sent=now, updated=now)
    put(connection, running)
    return True


def put(connection: Connection, purchase: Purchase) -> None:
    """Store a purchase inside a transaction."""
    connection.execute(_PUT, _to_row(purchase))


def fetch(connection: Connection, purchase_id: str) -> Purchase | None:
    """Return one purchase inside a transaction."""
    row = connection.execute("SELECT * FROM purchases WHERE id = ?", (purchase_id,)).fetchone()
    return None if row is None else from_row(row)


def from_row(row: Any) -> Purchase:
    """Return the purchase of a row.

    Raises:
        StoreError: the row was not written by this version.
    """
    try:
        return read_stored(row["body"], Purchase)
    except msgspec.MsgspecError as error:
        raise StoreError(f"purchase {row['id']} cannot be read: {error}", remedy="upgrade stembridge") from error


def _to_row(purchase: Purchase) -> dict[str, str | float | int | None]:
    return {
        "id": purchase.id,
        "key": purchase.key,
        "state": purchase.state.value,
        "provider": purchase.provider,
        "account": purchase.account,
        "recording": purchase.recording,
        "remote": None if purchase.ticket is None else purchase.ticket.remote_id,
        "created": purchase.created,
        "updated": purchase.updated,
        "credits": purchase.quote.credits,
        "kept_bytes": sum(part.size for part in purchase.kept),
        "body": stored_json(purchase),
    }


def _rank(state: PurchaseState) -> int:
    """Return how little a state promises."""
    return 0 if state is PurchaseState.KEPT else 1 if state.is_held else 2 if state.is_open else 3


Amount = Annotated[float, msgspec.Meta(ge=0)]
Guard = Callable[[Connection, Purchase], None]
"""Refuse a purchase that is about to be made, inside the transaction that makes it."""

_SPENT: Final = (
    "SELECT coalesce(sum(coalesce(credits, 1)), 0) FROM purchases INDEXED BY purchases_spent"  # noqa: S608 - constant
    f" WHERE provider = ? AND created >= ? AND state <> '{PurchaseState.CANCELLED.value}' AND id <> ?"
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sections ``[spend.PROVIDER]``: credits, or tracks where no price is known."""

    run: Amount | None = None
    """In one run of one process."""
    day: Amount | None = None
    month: Amount | None = None


class LimitReachedError(RefusedError):
    """A purchase would go beyond a limit of the user's own."""


class Spending:
    """Counts what one run of this process spends, and what the store has spent.

    Args:
        limits: gives the limits of a provider.
        clock: seconds since the epoch.
    """

    def __init__(self, limits: Callable[[str], Limits], clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._run: dict[str, dict[str, float]] = {}

    def check(self, connection: Connection, purchase: Purchase) -> None:
        """Refuse a purchase that goes beyond a limit; count it otherwise.

        Raises:
            LimitReachedError: says which limit, what is spent and what this would cost.
            SettingsError: the limits cannot be read.
        """
        provider, price = purchase.provider, price_of(purchase)
        limits = self._limits(provider)
        # One whose call made nothing is sent again under its name, and counts once.
        run = {name: spent for name, spent in self._run.get(provider, {}).items() if name != purchase.id}
        now = datetime.fromtimestamp(self._clock()).astimezone()
        begun = {"day": day_of(now), "month": month_of(now)}
        for word in ("run", *begun):
            limit: float | None = getattr(limits, word)
            if limit is None:
                continue
            before = sum(run.values()) if word == "run" else _spent(connection, purchase, begun[word])
            if before + price > limit:
                raise LimitReachedError(
                    f"your own limit of {limit:g} for {provider} ([spend.{provider}] {word}) would be passed:"
                    f" {before:g} is spent and this costs {price:g}",
                    remedy="raise the limit, or run again" if word == "run" else "raise the limit, or wait",
                )
        self._run[provider] = {**run, purchase.id: price}


def spend_freely(_connection: Connection, _purchase: Purchase) -> None:
    """Know no limit."""


def price_of(purchase: Purchase) -> float:
    """Return what a purchase counts for: its credits, or one where no price is known."""
    return 1.0 if purchase.quote.credits is None else purchase.quote.credits


def day_of(now: datetime) -> float:
    """Return when the local day of a moment began."""
    return datetime(now.year, now.month, now.day).astimezone().timestamp()


def month_of(now: datetime) -> float:
    """Return when the local month of a moment began."""
    return datetime(now.year, now.month, 1).astimezone().timestamp()


def _spent(connection: Connection, purchase: Purchase, since: float) -> float:
    return float(connection.execute(_SPENT, (purchase.provider, since, purchase.id)).fetchone()[0])
