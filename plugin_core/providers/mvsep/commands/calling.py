"""One call to MVSEP by a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from plugin_core.console.context import Context
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.settings import MvsepSettings

T = TypeVar("T")


def ask(context: Context, call: Callable[[MvsepClient], Awaitable[T]]) -> T:
    """Make one call with the user's account and return its answer."""
    settings = context.settings.section("mvsep", MvsepSettings)
    client = MvsepClient(settings.base_url, settings.api_token)

    async def work() -> T:
        try:
            return await call(client)
        finally:
            await client.transfer.close()

    return asyncio.run(work())
