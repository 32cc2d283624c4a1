"""What the separator and its worker process say to each other: one JSON object a line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from plugin_core import errors
from plugin_core.errors import ServiceError, StembridgeError
from plugin_core.providers.local.parameters import Parameters


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The one line a worker reads."""

    source: Path
    folder: Path
    """Made by the worker, for the stems alone."""
    format: str
    """Name of a lossless format."""
    parameters: Parameters = Parameters()
    block_seconds: float = 5.0
    nice: int = 0


class Working(msgspec.Struct, frozen=True, tag="progress", tag_field="event"):
    """How much of the source is written as stems, 0 to 1; None where its length is unknown."""

    fraction: float | None


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="event"):
    """Every stem is on the disk."""

    files: dict[str, str]
    """File name in the folder by stem."""
    clipped: int = 0
    """Samples of a lossy source that lay over full scale and were clipped, as a player does."""


class Failed(msgspec.Struct, frozen=True, tag="error", tag_field="event"):
    """An error, by the name of its class."""

    kind: str
    message: str
    remedy: str = ""

    def as_error(self) -> StembridgeError:
        """Return the error as the worker raised it."""
        kind = getattr(errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, StembridgeError)):
            kind = ServiceError
        return kind(self.message, remedy=self.remedy)


Message = Working | Done | Failed
