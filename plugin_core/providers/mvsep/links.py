"""Jobs by link: from the short hash of the service's download to the real hash of the separation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from plugin_core.errors import GoneError, OutcomeUnknownError, TransientError, UnchargedError
from plugin_core.model import Progress, Ticket
from plugin_core.protocols import GRACE, Order, Waiting
from plugin_core.providers.mvsep.find import History, find_hash
from plugin_core.providers.mvsep.job_calls import JobAnswer, Phase
from plugin_core.providers.mvsep.keys import is_real_hash

NOTE: Final = "MVSEP fetches the song"


class Remote(History, Protocol):
    """What of the client following a link needs."""

    async def get_remote(self, job: str, *, origin: str = "") -> JobAnswer:
        """Ask about a download."""
        ...

    def origin_of(self, link: str) -> str:
        """Return the node a link points at."""
        ...


class Links:
    """The downloads of one service; what they became is remembered for as long as the process lives.

    Args:
        client: asks the service.
        clock: seconds since the epoch.
    """

    def __init__(self, client: Remote, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, Ticket] = {}

    def forget(self, key: str) -> None:
        """Drop what is remembered of a job."""
        self._known.pop(key, None)

    async def follow(self, order: Order, ticket: Ticket, seconds: float) -> Ticket | Waiting:
        """Return the ticket of the real job, or word to ask again after so many seconds.

        Raises:
            ServiceError: the service could not fetch the link.
            TransientError: it does not answer.
        """
        if order.key in self._known:
            return self._known[order.key]
        answer = await self._client.get_remote(ticket.remote_id, origin=ticket.origin)
        if answer.phase is Phase.DONE and is_real_hash(answer.hash):
            return self._remember(order, ticket, answer.hash, self._client.origin_of(answer.link) or ticket.origin)
        if answer.phase is Phase.FAILED:
            raise UnchargedError(
                f"MVSEP could not fetch the song: {answer.message or answer.status}",
                remedy="check that the stager's links can be read from outside",
            )
        if order.age(self._clock()) >= GRACE and _says_nothing(answer):
            found = await self._search(order)
            if found is None:
                raise GoneError(
                    f"MVSEP knows nothing of the song it was to fetch ({answer.message or ticket.remote_id})",
                    remedy="try again, or upload it: leave out [mvsep] stager",
                )
            return self._remember(order, ticket, found, ticket.origin)
        progress = Progress(note=NOTE, queue_position=answer.current_order, queue_length=answer.queue_count)
        return Waiting(seconds=seconds, progress=progress)

    async def _search(self, order: Order) -> str | None:
        try:
            return await find_hash(self._client, order.key)
        except OutcomeUnknownError as error:
            # The job is not lost, only out of sight for now.
            raise TransientError(error.message, remedy=error.remedy) from error

    def _remember(self, order: Order, ticket: Ticket, real: str, origin: str) -> Ticket:
        known = Ticket(remote_id=real, origin=origin, data=ticket.data)
        self._known[order.key] = known
        return known


def _says_nothing(answer: JobAnswer) -> bool:
    """Tell whether the short hash is unknown, or was done without a real one."""
    if answer.phase in (Phase.MISSING, Phase.DONE):
        return True
    return answer.phase is Phase.UNCLEAR and answer.success is False
