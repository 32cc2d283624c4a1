"""What MVSEP posts when a job ends: the hash, at the top or below ``data``; a trial call may hold no JSON at all."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl

from plugin_core.callbacks.reading import read_json
from plugin_core.errors import ServiceError

_NAMES = ("hash", "job_hash")


def read_names(body: bytes, content_type: str) -> set[str]:
    """Return the hashes in a webhook's call; nothing signs it, so that it is only a hint.

    Raises:
        ServiceError: it announces JSON and holds none.
    """
    is_json = "json" in content_type.lower()
    try:
        payload = read_json(body, "webhook of MVSEP") if body.strip() else {}
    except ServiceError:
        if is_json:
            raise
        payload = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=50)) if b"=" in body[:4096] else {}
    return set(_hashes(payload))


def _hashes(payload: object) -> Iterator[str]:
    if not isinstance(payload, dict):
        return
    for node in (payload, payload.get("data")):
        if isinstance(node, dict):
            yield from (node[name] for name in _NAMES if isinstance(node.get(name), str) and node[name])
