"""Telling the event loop of progress made in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from plugin_core.model import Progress
from plugin_core.protocols import Report


def report_from_thread(report: Report, describe: Callable[[float], Progress]) -> Callable[[float], None]:
    """Return a function that any thread may call with a share 0..1; must be made in the event loop."""
    loop = asyncio.get_running_loop()

    def tell(share: float) -> None:
        loop.call_soon_threadsafe(report, describe(share))

    return tell
