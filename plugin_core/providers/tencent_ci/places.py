"""Where a job's objects are: noted before anything is sent, since the settings may name another place by then."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from plugin_core.model import from_json, to_json
from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.settings import TencentSettings

PLACE: Final = "place"


def place_of(settings: TencentSettings) -> dict[str, str]:
    """Return what is kept of the settings: no secret, and all that names objects."""
    return {"bucket": settings.bucket, "region": settings.region, "prefix": settings.prefix}


def note_place(order: Order, settings: TencentSettings) -> None:
    """Keep the place of a job, whatever happens to the process."""
    order.write_note(PLACE, to_json(place_of(settings)).decode())


def settings_of(order: Order, settings: TencentSettings) -> TencentSettings:
    """Return the settings with the place of a job: its ticket's, else the noted one, else the present one."""
    noted = order.ticket.data if order.ticket is not None else _noted(order)
    place = {name: noted.get(name, present) for name, present in place_of(settings).items()}
    return msgspec.structs.replace(settings, **place) if place["bucket"] else settings


def _noted(order: Order) -> dict[str, str]:
    # What an older version noted may have been cut.
    with contextlib.suppress(msgspec.MsgspecError):
        return from_json(order.note.get(PLACE, "{}"), dict[str, str])
    return {}
