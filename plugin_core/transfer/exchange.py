"""The one way to other machines: requests that are retried, paid ones that are not, and downloads."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from plugin_core.errors import ServiceError, TransientError
from plugin_core.settings import Secret
from plugin_core.transfer.addresses import MOST_REDIRECTS, follow, is_redirect
from plugin_core.transfer.calls import Answer, Bytes, Call
from plugin_core.transfer.pauses import LONGEST, RateBudget, backoff, read_retry_after
from plugin_core.transfer.redaction import register

if TYPE_CHECKING:
    import httpx

    from plugin_core.transfer.clients import Clients
    from plugin_core.transfer.wire import Failure

TRIES: Final = 4
TURNS: Final = 20
CALL_SECONDS: Final = 120.0
"""Seconds that all tries of a call have together, unless it has a patience of its own."""
PAID_PATIENCE: Final = 300.0
"""Seconds a service may think about a paid call: giving up early only makes its outcome unknown."""


class _Seconds:
    """What is left of the time that all tries of a call may take; pauses between them are not counted."""

    def __init__(self, count: float) -> None:
        self.count = count

    @contextmanager
    def counted(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.count -= time.monotonic() - began


class Transfer:
    """Everything a client of a service needs of HTTP; may be used from one event loop after another.

    Args:
        service: its name in messages ("MVSEP").
        secrets: never shown; every other ``Secret`` that is sent is added.
        budget: the rate all calls keep to; default one of its own.
        transport: answers instead of the network.
        tries: how often a request that may be repeated is sent in all.
        clock: seconds since the epoch.
        sleep: waits that many seconds.
        rng: returns a number from 0 to 1.
    """

    def __init__(
        self,
        service: str,
        *,
        secrets: Iterable[Secret] = (),
        budget: RateBudget | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        tries: int = TRIES,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.service = service
        self.budget = budget or RateBudget()
        self.tries = tries
        self._transport = transport
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        for secret in secrets:
            register(secret)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of the running event loop; without this they close when the loop ends."""
        if "_clients" in self.__dict__:
            await self._clients.close()

    async def send(self, call: Call) -> Answer:
        """Send a request that may be sent twice; tried again on network errors, 5xx, 429 and what is no JSON.

        Returns:
            Any answer below 500 that says something, also 4xx: reading it is the caller's work.

        Raises:
            TransientError: no answer in all tries, or the service asks for a longer pause than a call may take.
            ServiceError: it cannot be an answer of this service (redirect elsewhere, too large).
            SourceError: a file of the body cannot be read.
        """
        from plugin_core.transfer.wire import failed, is_worth_another_try

        left = _Seconds(CALL_SECONDS if call.patience is None else math.inf)
        for tried in range(1, self.tries + 1):
            outcome = await self._try_following(call, left)
            if isinstance(outcome, Answer) and not is_worth_another_try(call, outcome):
                return outcome
            asked = max(self.asked_pause(outcome), _own_pause(call, outcome))
            if tried == self.tries or asked > LONGEST or getattr(outcome, "is_lasting", False):
                break
            await self._back_off(tried, asked)
        raise failed(call, outcome, self._clock())

    async def send_once(self, call: Call) -> Answer:
        """Send a request that costs money; tried again only while no connection could be made.

        Returns:
            Any answer below 500 that says something, also 4xx.

        Raises:
            TransientError: surely not sent, or refused for now (429).
            OutcomeUnknownError: bytes may have gone out and no answer of the service came back.
            ServiceError: a redirect: nothing was taken.
            SourceError: a file of the body cannot be read, or changed under way: nothing whole was sent.
        """
        from plugin_core.transfer.wire import Failure, judge_paid

        call = replace(call, patience=call.patience or PAID_PATIENCE)
        for tried in range(1, self.tries + 1):
            outcome = await self._try(call, _Seconds(math.inf))
            may_pass = isinstance(outcome, Failure) and outcome.is_unsent and not outcome.is_lasting
            if not may_pass or tried == self.tries:
                break
            await self._back_off(tried, 0.0)
        error = judge_paid(call, outcome, self._clock())
        if error is not None:
            raise error
        assert isinstance(outcome, Answer)
        return outcome

    async def download(
        self,
        url: str,
        target: Path,
        *,
        size: int | None = None,
        md5: str = "",
        limit: int = 8 << 30,
        report: Bytes | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Bring a file to ``target``, through ``part`` (default ``<name>.part`` beside it); resumes what is there.

        Carries no credentials. The file appears under its name only when it is whole, checked and on disk.

        Args:
            url: https, or http on loopback.
            target: replaced if it exists.
            size: announced bytes, checked.
            md5: announced digest in hexadecimal, checked.
            limit: most bytes accepted.
            report: told of bytes written.
            part: where to write meanwhile.
            earlier: parts that other, perhaps frozen, processes left; the longest that fits is copied, none touched.

        Returns:
            Its size in bytes.

        Raises:
            SpoiltFileError: something else came in the last of all tries.
            TransientError: no whole file in all tries, or the disk is full.
            ServiceError: gone (404, 410), refused, too large or not what was announced.
            PlacementError: it cannot be written.
        """
        from plugin_core.transfer.download import Download
        from plugin_core.transfer.parts import PartFile

        download = Download(
            lend=self._clients.lend,
            what=f"{self.service} download",
            url=url,
            target=target,
            part=PartFile(part or target.with_name(f"{target.name}.part")),
            size=size,
            md5=md5.lower(),
            limit=limit,
            report=report,
            clock=self._clock,
        )
        return await download.run(earlier, self.tries, self._back_off)

    def asked_pause(self, outcome: Answer | Failure) -> float:
        """Return the seconds an answer's ``Retry-After`` asks for; 0 when it asks for none."""
        headers = getattr(outcome, "headers", {})
        return read_retry_after(headers.get("retry-after"), self._clock()) or 0.0

    @cached_property
    def _clients(self) -> Clients:
        from plugin_core.transfer.clients import Clients

        return Clients(self._transport)

    async def _try_following(self, call: Call, left: _Seconds) -> Answer | Failure:
        for _ in range(MOST_REDIRECTS):
            outcome = await self._try(call, left)
            if not isinstance(outcome, Answer) or not is_redirect(outcome):
                return outcome
            call = follow(call, outcome)
        raise ServiceError(f"{call.what} points from one place to the next without end")

    async def _try(self, call: Call, left: _Seconds) -> Answer | Failure:
        from plugin_core.transfer.clients import close_client
        from plugin_core.transfer.wire import attempt

        await self._wait_for_turn(call)
        async with self._clients.lend(call.url) as client:
            # Others may have spent what was free while this call waited for a connection.
            await self._wait_for_turn(call)
            self.budget.spend(self._clock())
            outcome: Answer | Failure | None = None
            try:
                with left.counted():
                    outcome = await attempt(client, call, left.count)
                return outcome
            finally:
                headers = outcome.headers if isinstance(outcome, Answer) else None
                self.budget.settle(headers, self._clock())
                self._heed(outcome)
                if not isinstance(outcome, Answer):
                    await close_client(client)

    def _heed(self, outcome: Answer | Failure | None) -> None:
        """Let a 429 hold back every call of this budget, not only the one it met."""
        if isinstance(outcome, Answer) and outcome.status == 429:
            seconds = read_retry_after(outcome.headers.get("retry-after"), self._clock())
            self.budget.pause(self._clock(), seconds or 0.0)

    async def _wait_for_turn(self, call: Call) -> None:
        # Others may take what became free meanwhile; whoever lost that often asks the service itself.
        for _ in range(TURNS):
            seconds = self.budget.delay(self._clock())
            if seconds <= 0:
                return
            if seconds > LONGEST:
                raise TransientError(f"{call.what}: the service asks for a pause", retry_after=seconds)
            await self._sleep(seconds)

    async def _back_off(self, tried: int, asked: float) -> None:
        await self._sleep(max(backoff(tried, self._rng), asked))


def _own_pause(call: Call, outcome: Answer | Failure) -> float:
    return call.dialect.pause(outcome) if call.dialect is not None and isinstance(outcome, Answer) else 0.0
