"""Calling COS and CI: signed anew for each try, failures in the service's own words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from plugin_core.errors import SettingsError
from plugin_core.providers.tencent_ci.answers import DIALECT, MOVED, OTHER_REGION, read_xml, refusal
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.providers.tencent_ci.signature import CI_SESSION_HEADER, COS_SESSION_HEADER, QSign, quote_text
from plugin_core.transfer import Answer, Body, Call, Data, Transfer
from plugin_core.transfer.addresses import RedirectError

XML: Final = "application/xml"

Query = Mapping[str, str]


class CosCaller:
    """One service of Tencent Cloud over one bucket.

    Args:
        settings: section ``[tencent]``.
        token_header: how the service calls the header of a temporary token.
        transfer: the way there.
        clock: seconds since the epoch.
    """

    def __init__(
        self, settings: TencentSettings, token_header: str, transfer: Transfer, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.transfer = transfer
        self.clock = clock
        self._token_header = token_header

    def call(self, method: str, url: str, what: str, query: Query | None = None, body: Body | None = None) -> Call:
        """Return a signed call; the query is quoted as the signature wants it.

        Raises:
            RefusedError: there are no keys.
        """
        return Call(
            method=method,
            url=url + _quote_query(query or {}),
            what=what,
            body=body,
            wants_json=False,
            signer=QSign(self.settings.credentials(), self.clock, self._token_header),
            dialect=DIALECT,
        )

    async def send(self, call: Call) -> Answer:
        """Send what may be sent twice; return a success.

        Raises:
            TransientError: no answer now.
            RefusedError: keys, rights, clock, or a service that is not enabled.
            SettingsError: wrong bucket or region.
            ServiceError: refused for another reason.
        """
        return self.check(call, await self.exchange(call))

    async def exchange(self, call: Call) -> Answer:
        """Send what may be sent twice; return any answer below 500.

        Raises:
            SettingsError: the bucket is in another region.
            StembridgeError: as ``Transfer.send``.
        """
        with _region_named():
            return await self.transfer.send(call)

    async def exchange_once(self, call: Call) -> Answer:
        """Send what must not be sent twice; return any answer below 500.

        Raises:
            SettingsError: the bucket is in another region.
            StembridgeError: as ``Transfer.send_once``.
        """
        with _region_named():
            return await self.transfer.send_once(call)

    async def read(self, call: Call, root: str = "") -> dict[str, Any]:
        """Send what may be sent twice; return the XML of a success, whose root has this name if one is given.

        Raises:
            StembridgeError: as ``send``; ServiceError also for what is no XML.
        """
        return read_xml((await self.send(call)).content, call.what, root)

    def check(self, call: Call, answer: Answer) -> Answer:
        """Return an answer that is a success, raise what any other one means."""
        if answer.is_success:
            return answer
        raise refusal(call.what, answer, self.clock())


def open_cos(settings: TencentSettings, transfer: Transfer | None, clock: Callable[[], float] = time.time) -> CosCaller:
    """Return the way to the objects."""
    return CosCaller(settings, COS_SESSION_HEADER, transfer or _transfer("Tencent COS", settings), clock)


def open_ci(settings: TencentSettings, transfer: Transfer | None, clock: Callable[[], float] = time.time) -> CosCaller:
    """Return the way to the jobs."""
    return CosCaller(settings, CI_SESSION_HEADER, transfer or _transfer("Tencent CI", settings), clock)


def xml_body(content: bytes) -> Data:
    return Data(content, XML)


@contextmanager
def _region_named() -> Iterator[None]:
    """Say of an answer that points to another host for good what it means here."""
    try:
        yield
    except RedirectError as error:
        if error.status != MOVED:
            raise
        raise SettingsError(error.message, remedy=OTHER_REGION) from error


def _transfer(service: str, settings: TencentSettings) -> Transfer:
    return Transfer(service, secrets=(settings.secret_id, settings.secret_key, settings.token))


def _quote_query(query: Query) -> str:
    pairs = [f"{quote_text(name)}={quote_text(value)}" if value else quote_text(name) for name, value in query.items()]
    return "?" + "&".join(pairs) if pairs else ""
