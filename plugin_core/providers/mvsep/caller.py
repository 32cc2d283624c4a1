"""Calling the API: where the token goes, what may be sent twice, and what a refusal becomes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from plugin_core.errors import RefusedError
from plugin_core.providers.mvsep.nodes import Nodes
from plugin_core.providers.mvsep.refusals import refusal
from plugin_core.settings import Secret
from plugin_core.transfer import Answer, Body, Call, Form, Transfer
from plugin_core.transfer.budget import shared_budget
from plugin_core.transfer.redaction import register

BASE_URL: Final = "https://mvsep.com/api"
NO_TOKEN: Final = Secret("")

Fields = Mapping[str, str]


class Caller:
    """One account at MVSEP, or none.

    Args:
        base_url: the configured API, https (or loopback).
        token: the account's; "" for the calls that need none.
        trusted: further hosts the token may go to; https hosts under mvsep.com and the base's own always may.
        transfer: the way there; default one with the network behind it.

    Raises:
        SettingsError: the base may not be spoken to.
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        token: Secret = NO_TOKEN,
        *,
        trusted: Collection[str] = (),
        transfer: Transfer | None = None,
    ) -> None:
        register(token)
        self._nodes = Nodes(base_url, trusted)
        self._token = token
        self.base_url = self._nodes.base
        self.transfer = transfer or Transfer("MVSEP", budget=shared_budget(f"mvsep:{_fingerprint(token)}"))

    def origin_of(self, link: str) -> str:
        """Return the API base of the node that ``Created.link`` or ``JobAnswer.link`` points at.

        The configured base where the link is empty, odd, or leads to a host the token may not go to.
        """
        return self._nodes.origin_of(link)

    def _with_token(self, fields: Fields) -> dict[str, str]:
        if not self._token:
            raise RefusedError("MVSEP wants an API token and none is set", remedy="use `stembridge login mvsep`")
        return {"api_token": self._token, **fields}

    async def _get(self, path: str, query: Fields, *, with_token: bool = False, once: bool = False) -> Any:
        answer = await self._fetch(path, query, with_token=with_token, once=once)
        self._check(path, answer)
        return answer.data

    async def _fetch(
        self, path: str, query: Fields, *, origin: str = "", with_token: bool = False, once: bool = False
    ) -> Answer:
        sent = self._with_token(query) if with_token else query
        call = self._call("GET", path, origin=origin, with_token=with_token)
        return await (self.transfer.send_once if once else self.transfer.send)(replace(call, query=sent))

    async def _post(self, path: str, fields: Fields, *, origin: str = "", with_token: bool = True) -> Any:
        """Post what may be posted twice."""
        sent = self._with_token(fields) if with_token else fields
        call = self._call("POST", path, origin=origin, with_token=with_token)
        answer = await self.transfer.send(replace(call, body=Form(sent)))
        self._check(path, answer)
        return answer.data

    async def _post_once(self, path: str, body: Body, **extra: Any) -> Any:
        call = self._call("POST", path, with_token=True)
        answer = await self.transfer.send_once(replace(call, body=body, **extra))
        self._check(path, answer)
        return answer.data

    def _call(self, method: str, path: str, *, origin: str = "", with_token: bool = False) -> Call:
        base = self._nodes.pick(origin, with_token=with_token)
        return Call(method=method, url=f"{base}/{path}", what=f"MVSEP {path}")

    def _check(self, path: str, answer: Answer) -> None:
        error = refusal(f"MVSEP {path}", answer, pause=self.transfer.asked_pause(answer) or None)
        if error is not None:
            raise error


def page(start: int, limit: int) -> dict[str, str]:
    """Return the parameters of one page of a list."""
    return {"start": str(start), "limit": str(limit)}


def _fingerprint(token: Secret) -> str:
    return hashlib.sha256(token.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:16] if token else "guest"
