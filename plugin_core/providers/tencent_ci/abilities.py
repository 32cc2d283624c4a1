"""What CI is enabled to do in the bucket."""

from __future__ import annotations

import msgspec

from plugin_core.errors import RefusedError
from plugin_core.providers.tencent_ci.client import CiClient
from plugin_core.providers.tencent_ci.refusals import ENABLE


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """Whether songs can be separated in a bucket, and by which queues."""

    bucket: str
    region: str
    binding: str
    """``on``, ``off`` or ``unbinding``; "" when the service does not say."""
    smart_audio: bool
    media_processing: bool = False
    """How older accounts have it; asked only where Smart Audio is off."""
    queues: tuple[str, ...] = ()
    """Ids for the setting ``queue``."""
    remedy: str = ""
    """What to do before songs can be separated; "" when nothing is."""


async def read_abilities(client: CiClient) -> Abilities:
    """Ask what the bucket is enabled for.

    Raises:
        StembridgeError: as ``Caller.read``.
    """
    settings = client.caller.settings
    binding = await client.status()
    has_audio = await client.is_asr_bucket()
    return Abilities(
        bucket=settings.bucket,
        region=settings.region,
        binding=binding,
        smart_audio=has_audio,
        media_processing=not has_audio and await has_media(client),
        queues=await client.queues() if has_audio else (),
        remedy="" if has_audio and binding in ("on", "") else ENABLE,
    )


async def has_media(client: CiClient) -> bool:
    """Tell whether media processing is enabled; keys that may not ask have none.

    Raises:
        StembridgeError: as ``Caller.read``, but no RefusedError.
    """
    try:
        return await client.is_media_bucket()
    except RefusedError:
        return False
