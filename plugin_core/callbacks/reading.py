"""Reading what a stranger may have sent."""

from __future__ import annotations

import json

from plugin_core.errors import ServiceError


def read_json(body: bytes, what: str) -> object:
    """Return the value of a JSON text.

    Args:
        body: the text.
        what: whose it is, for the message.

    Raises:
        ServiceError: it is no JSON, nested too deeply, or holds a number without end.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServiceError(f"{what}: no JSON") from error
