"""Where a job's objects are: noted before anything is sent, since the settings may name another place by then."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.protocols import Order
from plugin_core.providers.tencent_ci.settings import TencentSettings

FILE_NAME: Final = "place.json"

_log = logging.getLogger(__name__)


def place_of(settings: TencentSettings) -> dict[str, str]:
    """Return what is kept of the settings: no secret, and all that names objects."""
    return {"bucket": settings.bucket, "region": settings.region, "prefix": settings.prefix}


def note_place(folder: Path, settings: TencentSettings) -> None:
    """Write the place into a job's folder, whole or not at all; blocks."""
    scratch = folder / f"{FILE_NAME}.{os.getpid()}"
    try:
        scratch.write_bytes(msgspec.json.encode(place_of(settings)))
        scratch.replace(folder / FILE_NAME)
    except OSError as error:
        _log.warning("%s cannot be kept in the job's folder: %s", FILE_NAME, error.strerror)


def settings_of(order: Order, settings: TencentSettings) -> TencentSettings:
    """Return the settings with the place of a job: its ticket's, else the noted one, else the present one; blocks."""
    kept = order.ticket.data if order.ticket is not None else _read(order.folder)
    place = {name: kept.get(name, present) for name, present in place_of(settings).items()}
    return msgspec.structs.replace(settings, **place) if place["bucket"] else settings


def _read(folder: Path) -> Mapping[str, str]:
    try:
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}
