"""COS and CI over one bucket."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property

from plugin_core.providers.tencent_ci.caller import open_ci, open_cos
from plugin_core.providers.tencent_ci.client import CiClient
from plugin_core.providers.tencent_ci.objects import CosObjects
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.transfer import Transfer


class Service:
    """The objects and the jobs of one bucket.

    Args:
        settings: section ``[tencent]``.
        transfer: the way to both; default one for each.
        clock: seconds since the epoch.
    """

    def __init__(
        self, settings: TencentSettings, transfer: Transfer | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._transfer = transfer

    @cached_property
    def objects(self) -> CosObjects:
        """The objects."""
        return CosObjects(open_cos(self.settings, self._transfer, self.clock))

    @cached_property
    def ci(self) -> CiClient:
        """The jobs."""
        return CiClient(open_ci(self.settings, self._transfer, self.clock))

    def with_settings(self, settings: TencentSettings) -> Service:
        """Return the same for another bucket or other keys."""
        return Service(settings, self._transfer, self.clock)
