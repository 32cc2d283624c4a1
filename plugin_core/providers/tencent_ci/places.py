"""Where a job's objects are: noted before anything is sent, since the settings may name another place by then."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.notes import read_note, write_note
from plugin_core.providers.tencent_ci.settings import TencentSettings

FILE_NAME: Final = "place.json"


def place_of(settings: TencentSettings) -> dict[str, str]:
    """Return what is kept of the settings: no secret, and all that names objects."""
    return {"bucket": settings.bucket, "region": settings.region, "prefix": settings.prefix}


def note_place(folder: Path, settings: TencentSettings) -> None:
    """Write the place into a job's folder, whole or not at all; blocks."""
    write_note(folder / FILE_NAME, place_of(settings))


def settings_of(order: Order, settings: TencentSettings) -> TencentSettings:
    """Return the settings with the place of a job: its ticket's, else the noted one, else the present one; blocks."""
    noted = order.ticket.data if order.ticket is not None else read_note(order.folder / FILE_NAME, dict[str, str])
    place = {name: (noted or {}).get(name, present) for name, present in place_of(settings).items()}
    return msgspec.structs.replace(settings, **place) if place["bucket"] else settings
