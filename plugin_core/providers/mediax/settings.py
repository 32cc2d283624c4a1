"""The section ``[mediax]`` of the settings."""

from __future__ import annotations

import msgspec

from plugin_core.settings import Secret


class MediaxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How MediaX is reached; its keys come with the registration and are no CAM keys."""

    secret_id: Secret = Secret("")
    """``tmpSecretId`` of the registration."""
    secret_key: Secret = Secret("")
    """``tmpSecretKey`` of the registration."""
    base_url: str = "https://api.mediax.tencent.com"
    stager: str = ""
    """Which stager makes files reachable for the service; empty for the only one there is."""
    slots: int = 5
    """Jobs that may be alive at once: the service names no limit."""
    timeout: int = 1800
    """Seconds after which the service gives a job up."""
    callback_url: str = ""
    """Where the service tells that a job ended; it only makes us ask at once."""
    gateway_id: Secret = Secret("")
    gateway_key: Secret = Secret("")
    gateway_source: str = ""
    """``<uin>_<userName>``: with the two above, for accounts that stand behind the older gateway."""
