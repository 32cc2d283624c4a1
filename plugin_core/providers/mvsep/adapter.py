"""MVSEP as the core sees it: a separator, the account behind it, and what login and doctor need."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from plugin_core.audio.overload import exceeds
from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    RefusedError,
    ServiceError,
    StembridgeError,
    TransientError,
)
from plugin_core.model import (
    AccountState,
    Finding,
    Model,
    Operation,
    Part,
    Plan,
    Question,
    Separation,
    Source,
    Ticket,
)
from plugin_core.protocols import GRACE, Finished, Order, Report, Waiting
from plugin_core.providers.mvsep.account import QUESTIONS, TOKEN, UNKNOWN, Account, examine, is_premium, login
from plugin_core.providers.mvsep.caller import BASE_URL, NAME, MvsepSettings
from plugin_core.providers.mvsep.catalogue import Algorithm, Catalogue
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.hashes import REGIONS, SEEN, JobLinks, find_hash, find_unnamed, locate
from plugin_core.providers.mvsep.job_calls import Phase
from plugin_core.providers.mvsep.models import describe_model, find_algorithm, list_models, require_input
from plugin_core.providers.mvsep.options import REFERENCE, WEBHOOK
from plugin_core.providers.mvsep.orders import fetch_results, is_by_link, read_answer, submit
from plugin_core.providers.mvsep.plan import estimate_credits, make_plan
from plugin_core.providers.mvsep.requests import Kind, Requests, keep_given
from plugin_core.service import Pace, size_limit
from plugin_core.settings import Secret

if TYPE_CHECKING:
    from plugin_core.transfer import Transfer

ANY_STAGER: Final = "any"
"""What ``[mvsep] stager`` says to mean the only one there is."""

_KEPT_DAYS: Final = 3

_log = logging.getLogger(__name__)


class MvsepSeparator:
    """Splits songs at mvsep.com.

    Args:
        settings: section ``[mvsep]``.
        home: stembridge's home, where the list of models is kept.
        client: the way to the service; default one made of the settings.
        clock: seconds since the epoch.
    """

    name = NAME
    title = "MVSEP: more than a hundred models at mvsep.com, with an account there"
    remote = True
    questions: Sequence[Question] = QUESTIONS
    section = NAME
    token = TOKEN
    keeps_seconds = _KEPT_DAYS * 86_400.0

    def __init__(
        self,
        settings: MvsepSettings,
        home: Path,
        *,
        client: MvsepClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.client = client or make_client(settings, settings.api_token)
        self._clock = clock
        self._account = Account(self.client, settings.api_token, premium_slots=settings.slots, clock=clock)
        self._requests = Requests(home)
        self._links = JobLinks(self.client, clock, self._search)
        self._seen: dict[str, None] = {}
        self._described: tuple[tuple[Algorithm, ...], tuple[Model, ...]] = ((), ())
        self._pace = Pace(settings.poll_first, settings.poll_longest)
        # Who has no account has not asked for anything to be sent anywhere.
        is_wanted = bool(settings.api_token) or self.client.base_url != BASE_URL
        self.catalogue = Catalogue(
            self.client.algorithms if is_wanted else None,
            home,
            base_url=self.client.base_url,
            max_age=settings.catalogue_hours * 3600,
            clock=clock,
        )

    @property
    def stager(self) -> str | None:
        """Name of the stager to use; None when sources are uploaded."""
        wish = self.settings.stager.strip()
        return None if not wish else "" if wish == ANY_STAGER else wish

    @property
    def register_seconds(self) -> float:
        """How long queue and history may miss a job; one by link they list only once the song was fetched."""
        return self.settings.register_seconds if self.stager is None else max(GRACE, self.settings.register_seconds)

    @property
    def forgets(self) -> bool:
        """Whether results are deleted at the service once they are home."""
        return self.settings.delete_after

    @property
    def unclear_hours(self) -> float:
        """How long a state that is not documented is borne."""
        return self.settings.unknown_hours

    def account(self) -> str:
        """Name the account by a fingerprint of its token."""
        return self._account.name

    async def slots(self) -> int:
        """Return how many jobs may be alive at once: one, or the setting with premium."""
        return await self._account.slots()

    async def account_state(self) -> AccountState:
        return await self._account.state()

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Turn e-mail and password, or a token, into the setting to keep."""
        return await login(self._client_with, answers)

    def read_callback(self, body: bytes, content_type: str) -> Collection[str]:
        """Return the hashes in a webhook's call.

        Raises:
            ServiceError: it announces JSON and holds none.
        """
        from plugin_core.providers.mvsep.hashes import read_names

        return read_names(body, content_type)

    async def examine(self) -> Sequence[Finding]:
        return await examine(self._account, self.catalogue, self.settings)

    def accept_link(self, link: Secret) -> Path:
        """Return what stands for the song behind a link, which MVSEP fetches itself."""
        return self._requests.keep_link(link)

    async def accept_words(self, model: str, options: Mapping[str, str]) -> Path:
        """Return what stands for a song where a model makes sound of its options alone.

        Raises:
            UsageError: an option is unknown, wrong or missing.
        """
        listing = await self.catalogue.listing()
        return self._requests.keep_words(find_algorithm(listing.algorithms, model), options)

    def unneeded(self, is_needed: Callable[[Path], bool], now: float) -> Sequence[Path]:
        """Return what was kept for requests without a song and is for nobody by now."""
        return self._requests.unneeded(is_needed, now)

    async def other_models(self) -> Sequence[Model]:
        """List what no song, or more than one, is given to."""
        return [
            describe_model(one)
            for one in (await self.catalogue.listing()).algorithms
            if one.is_active and not one.takes_song
        ]

    async def models(self) -> Sequence[Model]:
        """List what a song can be given to; needs no account."""
        algorithms = (await self.catalogue.listing()).algorithms
        # Asked for each job, and a hundred descriptions take a while.
        if self._described[0] is not algorithms:
            self._described = algorithms, tuple(list_models(algorithms))
        return self._described[1]

    async def model(self, word: str) -> Model:
        """Return any model, also one that no song is given to."""
        return describe_model(find_algorithm((await self.catalogue.listing()).algorithms, word))

    async def plan(self, source: Source, wish: Separation) -> Plan:
        listing = await self.catalogue.listing()
        algorithm = find_algorithm(listing.algorithms, wish.model or self.settings.model)
        kind = self._requests.kind_of(source.path)
        require_input(algorithm, has_song=kind is not Kind.WORDS, has_reference=REFERENCE in wish.options)
        if wish.options.keys() & {REFERENCE, WEBHOOK}:
            wish = await asyncio.to_thread(keep_given, self._requests, wish)
        is_over, user = await exceeds(source), UNKNOWN
        refusal: StembridgeError | None = None
        try:
            user = await self._account.user()
            await self._account.require_quota()
        except (RefusedError, TransientError) as error:
            refusal = error
        plan = make_plan(algorithm, source, wish, user, is_over=is_over, is_request=kind is not None)
        notes = tuple(filter(None, (listing.note, *plan.notes)))
        return msgspec.structs.replace(plan, notes=notes, refusal=plan.refusal or refusal)

    async def price_now(self, source: Source, wish: Operation) -> float:
        assert isinstance(wish, Separation)
        algorithm = find_algorithm((await self.catalogue.listing()).algorithms, wish.model)
        is_paid = is_premium(await self._account.user())
        return float(estimate_credits(algorithm, wish.options, source.duration)) if is_paid else 0.0

    async def submit(self, order: Order, report: Report) -> Ticket:
        self._account.require_token()
        try:
            ticket = await submit(self.client, order, self._requests, report)
        finally:
            self._account.forget()
        self._seen[ticket.origin] = None
        return ticket

    async def find(self, order: Order) -> Ticket | None:
        found = await self._search(order)
        if found is None:
            if self._requests.kind_of(order.source.path) is Kind.LINK and SEEN in order.note:
                # It is listed only once the song was fetched, which takes as long as it takes.
                raise OutcomeUnknownError("MVSEP lists no job of this link yet", remedy="look at it later")
            return None
        origin = await locate(self.client, found, self._origins())
        return Ticket(remote_id=found, origin=origin or self.client.base_url)

    async def _search(self, order: Order) -> str | None:
        if self._requests.kind_of(order.source.path) is None:
            return await find_hash(self.client, order.key)
        return await find_unnamed(self.client, order, await asyncio.to_thread(self._requests.known_jobs))

    async def take_over(self, remote_id: str) -> Ticket:
        """Return the ticket of a job of this account, made on the website or by another program.

        Raises:
            GoneError: MVSEP knows no such job.
        """
        self._account.require_token()
        origin = await locate(self.client, remote_id, self._origins())
        if not origin:
            raise GoneError(f"MVSEP knows no job {remote_id}", remedy="`stembridge mvsep history` lists yours")
        model = (await self.client.get(remote_id, origin=origin)).algorithm
        return Ticket(remote_id=remote_id, origin=origin, data={"model": model} if model else {})

    def stands_in(self, path: Path) -> bool:
        """Tell whether a file stands for a link or for words."""
        return self._requests.kind_of(path) is not None

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        """Ask how far the job is; a job by link is followed to its real hash first."""
        ticket = order.known_ticket
        await self._drop_link(order)
        if is_by_link(ticket):
            real = await self._links.follow(order, ticket, self._wait(order))
            if isinstance(real, Waiting):
                return real
            ticket = real
        if self._requests.kind_of(order.source.path) is not None:
            await asyncio.to_thread(self._requests.note_job, order.source.path, ticket.remote_id)
        answer = await self.client.get(ticket.remote_id, origin=ticket.origin)
        algorithm = await self._algorithm_of(order) if answer.phase is Phase.DONE else None
        return read_answer(ticket.remote_id, answer, algorithm, self._wait(order))

    async def fetch(self, order: Order, report: Report) -> Sequence[Part]:
        async def transcription() -> Sequence[object]:
            ticket = await self._real(order)
            return (await self.client.get(ticket.remote_id, origin=ticket.origin)).transcription

        most = self.settings.max_file_mb << 20
        # What stands for a link or for words tells nothing of a length.
        limit = size_limit(order.source, most) if self._requests.kind_of(order.source.path) is None else most
        return await fetch_results(self.client, order, report, transcription, limit=limit)

    async def cancel(self, order: Order) -> None:
        """Cancel at the service, which gives the credits back while the job waits."""
        ticket = await self._real(order)
        await self.client.cancel(ticket.remote_id, origin=ticket.origin)
        self._account.forget()

    async def release(self, order: Order) -> None:
        """Delete the job at the service, if the setting says so and its results were fetched."""
        self._links.forget(order.key)
        await self._drop_link(order)
        if not (self.settings.delete_after and order.ticket is not None and order.results):
            return
        ticket = await self._real(order)
        try:
            await self.client.delete(ticket.remote_id, origin=ticket.origin)
        except RefusedError:
            raise
        except ServiceError as error:
            # What is gone already is as good as deleted.
            _log.info("job %s is not deleted at MVSEP: %s", order.key, error)

    async def _drop_link(self, order: Order) -> None:
        """Forget a link of the user's own: the service has the job, or nobody will send it."""
        if self._requests.kind_of(order.source.path) is Kind.LINK:
            await asyncio.to_thread(self._requests.drop_link, order.source.path)

    async def _real(self, order: Order) -> Ticket:
        """Return the ticket with the real hash if the service has one by now, else as it is."""
        ticket = order.known_ticket
        if not is_by_link(ticket):
            return ticket
        real = await self._links.follow(order, ticket, self._wait(order))
        return ticket if isinstance(real, Waiting) else real

    def _wait(self, order: Order) -> float:
        """Return the seconds to the next look."""
        return self._pace.wait(order.age(self._clock()))

    async def _algorithm_of(self, order: Order) -> Algorithm | None:
        """Return the job's model; a list that has lost it must not lose the job."""
        algorithms, model = (await self.catalogue.listing()).algorithms, order.separation.model
        return next((one for one in algorithms if one.id == model), None)

    def _origins(self) -> Sequence[str]:
        """Return every node a job may live on: the base, where other jobs went, then those known of."""
        base = self.client.base_url
        known = self.settings.nodes or (REGIONS if base == BASE_URL else ())
        return tuple(dict.fromkeys((base, *self._seen, *known)))

    def _client_with(self, token: Secret) -> MvsepClient:
        return make_client(self.settings, token, self.client.transfer)


def make_client(settings: MvsepSettings, token: Secret, transfer: Transfer | None = None) -> MvsepClient:
    """Return a client that trusts the nodes of the settings with the token."""
    trusted = {urlsplit(node).hostname or "" for node in settings.nodes} - {""}
    return MvsepClient(settings.base_url, token, trusted=trusted, transfer=transfer)
