"""One or more calls to Tencent CI by a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from plugin_core.console.context import Context
from plugin_core.providers.tencent_ci.client import CiClient
from plugin_core.providers.tencent_ci.service import Service
from plugin_core.providers.tencent_ci.settings import SECTION, TencentSettings

T = TypeVar("T")


def ask(context: Context, call: Callable[[CiClient], Awaitable[T]]) -> T:
    """Make calls with the user's keys, about the user's bucket, and return what they bring.

    Raises:
        RefusedError: there are no keys.
        SettingsError: bucket, region or an address are missing or malformed.
        StembridgeError: whatever the calls raise.
    """
    settings = context.settings.section(SECTION, TencentSettings)
    settings.credentials()
    client = Service(settings).ci

    async def work() -> T:
        try:
            return await call(client)
        finally:
            await client.caller.transfer.close()

    return asyncio.run(work())
